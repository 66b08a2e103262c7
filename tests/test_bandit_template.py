"""Templates say what they are given, and can neither hang the server nor reach into it."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.template import InvalidTemplate, Template, Unrenderable, names_in, template_faults

REFUSED = {
    "a range of a thousand million": "{% for i in range(10**9) %}{{ i }}{% endfor %}",
    "a power": "{{ 10 ** 10 ** 10 }}",
    "a call of a method": "{{ name.upper() }}",
    "a format": "{{ '%1000000000d' % 1 }}",
    "a filter that pads": "{{ name|center(1000000000) }}",
    "what is marked as safe": "{{ name|safe }}",
    "an autoescape": "{% autoescape false %}{{ name }}{% endautoescape %}",
    "a set": "{% set a = 'aa' %}{{ a ~ a }}",
    "a macro": "{% macro a() %}{{ a() }}{% endmacro %}",
    "an include": "{% include '/etc/passwd' %}",
    "a recursive loop": "{% for one in tree recursive %}{{ loop(one) }}{% endfor %}",
    "three loops in one another": "{% for a in x %}{% for b in x %}{% for c in x %}.{% endfor %}{% endfor %}{% endfor %}",
    "deep conditions": "{% if a %}" * 200 + "{% endif %}" * 200,
    "deep brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "endless nots": "{{ " + "not " * 5000 + "a }}",
    "a number of 5,000 digits": "{{ 1" + "0" * 5000 + " }}",
    "an open brace": "Hi {{ name",
    "handlebars": "{{#if name}}Hi{{/if}}",
    "more than is read": "{{ name }}" + "x" * 200_001,
}
HARMLESS_OR_UNRENDERABLE = [
    "{{ name * 1000000000 }}",
    "{{ 999999999999999 * 999999999999999 }}",
    "{{ 1.5|round(999999999) }}",
    "{{ name.__class__ }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ products.__init__.__globals__ }}",
    "{{ lipsum }}{{ cycler }}{{ self }}",
    "{% for letter in name %}{{ letter }}{% endfor %}",
    "{{ name > 3 }}",
    "{% for one in " + str(list(range(200))) + " %}.{% endfor %}",
]


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_hang_or_reach_out_is_refused_before_it_is_compiled(what):
    start = time.process_time()
    assert template_faults(REFUSED[what])
    with pytest.raises(InvalidTemplate):
        Template(REFUSED[what])
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("source", HARMLESS_OR_UNRENDERABLE)
def test_what_is_found_out_only_while_rendering_is_an_error_at_once_and_no_answer(source):
    start = time.process_time()
    with pytest.raises(Unrenderable):
        Template(source).render({"name": "Ann", "products": [{"name": "Cup"}]})
    assert time.process_time() - start < 2.0


def test_the_longest_loops_that_are_allowed_end_soon():
    source = "{% for a in x %}{% for b in x %}" + "{% if a == b %}{% endif %}" * 3 + "{% endfor %}{% endfor %}"
    template, start = Template(source), time.process_time()
    template.render({"x": list(range(100))})
    assert time.process_time() - start < 2.0


def test_what_would_become_too_long_is_cut_off_with_an_error():
    source = "{% for a in x %}{% for b in x %}{{ y }}{% endfor %}{% endfor %}"
    with pytest.raises(Unrenderable, match="longer than"):
        Template(source).render({"x": list(range(100)), "y": "z" * 1000})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("Hi {{ name }}", "Hi Ann"),
        ("{{ n }} left", "3 left"),
        ("{{ share }}", "0.25"),
        ("{{ yes }}", "true"),
        ("{{ n + 1 }} {{ n * 2 }} {{ n - 1 }}", "4 6 2"),
        ("{{ gone|default('there') }}", "there"),
        ("{% if gone is defined %}a{% else %}b{% endif %}", "b"),
        ("{% for one in products %}{{ one.name }}{% if not loop.last %}, {% endif %}{% endfor %}", "Cup, Pen"),
        ("{{ products[0].name|upper }}", "CUP"),
        ("{% block hero %}{{ name ~ '!' }}{% endblock %}", "Ann!"),
        ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("{{ 2.345|round(1) }}", "2.3"),
    ],
)
def test_a_template_says_what_it_is_given(source, said):
    variables = {"name": "Ann", "n": 3.0, "share": 0.25, "yes": True, "products": [{"name": "Cup"}, {"name": "Pen"}]}
    assert Template(source).render(variables) == said


@pytest.mark.parametrize(
    "source", ["{{ gone }}", "{{ gone.name }}", "{{ gone|upper }}", "{% if gone %}{% endif %}", "{{ gone ~ 'a' }}",
               "{% for one in gone %}{% endfor %}", "{{ 'a' if gone else 'b' }}", "{{ gone == 1 }}"]
)  # fmt: skip
def test_a_missing_variable_is_named_whatever_is_done_with_it(source):
    with pytest.raises(Unrenderable) as caught:
        Template(source).render({"here": 1})
    assert caught.value.variable == "gone"


def test_a_name_that_an_item_misses_is_named():
    with pytest.raises(Unrenderable) as caught:
        Template("{% for one in products %}{{ one.price }}{% endfor %}").render({"products": [{"name": "Cup"}]})
    assert caught.value.variable == "price"


def test_names_are_those_that_must_come_from_outside():
    source = (
        "{% for one in products %}{{ one.name }}{{ loop.index }}{% endfor %}{% if city %}{{ first_name }}{% endif %}"
    )
    assert names_in(source) == {"products", "city", "first_name"}


@settings(max_examples=150, deadline=None)
@given(value=st.text(max_size=50))
def test_in_html_no_value_can_open_a_tag_or_close_a_quote_and_plain_text_has_it_as_it_is(value):
    assert Template("{{ v }}").render({"v": value}) == value
    escaped = Template('<a title="{{ v }}">', html=True).render({"v": value})
    assert not set(escaped[len('<a title="') : -len('">')]) & set("<>\"'")


@settings(max_examples=150, deadline=None)
@given(source=st.text(alphabet="{}%# abif.|()[]'*+~1\n", max_size=60))
def test_any_source_is_refused_or_renders_or_says_why_not(source):
    if template_faults(source):
        with pytest.raises(InvalidTemplate):
            Template(source)
        return
    with suppress(Unrenderable):  # any other error fails the test
        assert isinstance(Template(source).render({"a": "A", "b": 2}), str)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_a_text_is_cut_to_any_length_and_never_longer(length):
    assert len(Template("{{ name|truncate(n) }}").render({"name": "Sofía Hernández", "n": length})) <= length


def test_cutting_keeps_whole_words_unless_told_otherwise():
    assert Template("{{ x|truncate(12) }}").render({"x": "one two three four"}) == "one two..."
    assert Template("{{ x|truncate(12, true) }}").render({"x": "one two three four"}) == "one two t..."


def test_letters_of_a_text_are_not_joined_and_joined_texts_have_a_bound():
    for source in ("{{ x|join(x|join(x|join(x))) }}", "{{ many|join(x) }}"):
        with pytest.raises(Unrenderable, match=r"need a list of at most|would be longer than"):
            Template(source).render({"x": "y" * 3000, "many": ["a"] * 90})
    assert Template("{{ many|join(', ') }}").render({"many": ["a", True, 3.0]}) == "a, true, 3"


def test_what_is_joined_in_html_is_escaped_once():
    made = Template("{{ many|join(' & ') }}", html=True).render({"many": ["<b>", "x"]})
    assert made == "&lt;b&gt; &amp; x"
