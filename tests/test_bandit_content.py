"""What arms say: filled in, or their default, or nothing and the reason; and the `[content]` table that says how."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import read_campaign
from bandit.arm_text import Said, Wording
from bandit.content import Content
from bandit.email_page import render_email
from bandit.errors import InvalidCampaign, InvalidVariables
from bandit.html_text import text_of_html
from bandit.message import Message
from bandit.variables import checked_variables

PAGE = (
    '<html lang="{{ language }}" dir="{{ direction }}"><head><title>{{ subject }}</title></head><body><p>{{ subject }}</p>'
    "{% if channel == 'email' %}<p>by mail</p>{% endif %}{% block offer %}<p>{{ gift|default('A gift') }}</p>{% endblock %}"
    '<a href="https://example.org/{{ decision_id }}" style="color: {{ cta.colour }}">{{ cta.text }}</a></body></html>'
)


def campaign_of(worlds, *subjects, content=None, **sections):
    """One with these subjects, a button, and a channel without texts."""
    cta = {"id": "join", "text": "Join", "parts": {"colour": "#c00", "urgency": "high"}}
    dimensions = [
        worlds.dimension("subject", *subjects),
        worlds.dimension("cta", cta),
        worlds.dimension("channel", "email"),
    ]
    return worlds.campaign(dimension=dimensions, content=content, **sections)


def said_of(campaign, *, subject="a", context=None, **given):
    wording, choice = Wording.of(campaign), {"subject": subject, "cta": "join", "channel": "email"}
    return wording.said(choice, wording.variables(choice, context or {}, given))


def faults_of(worlds, *subjects, content=None, **sections):
    with pytest.raises(InvalidCampaign) as caught:
        campaign_of(worlds, *subjects, content=content, **sections)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("name", ["Ann", "José", "Cafe\u0301", "مريم", "👩‍👩‍👧‍👦", "Ǆ", "<b>", "O'Neil & Sons"])
def test_a_plain_text_says_any_name_just_as_it_was_given(worlds, name):
    campaign = campaign_of(worlds, {"id": "a", "text": "¿Vienes, {{ first_name }}? 🎉"})
    assert said_of(campaign, first_name=name).texts["subject"] == f"¿Vienes, {name}? 🎉"


def test_a_missing_variable_is_named_with_its_arm_and_the_default_is_said(worlds):
    campaign = campaign_of(worlds, {"id": "a", "text": "Hi {{ first_name }}", "default": "Hi there"})
    said = said_of(campaign)
    assert (said.texts["subject"], said.missing) == ("Hi there", [])
    (gap,) = said.defaulted
    assert (gap.dimension, gap.arm, gap.part, gap.variable) == ("subject", "a", "text", "first_name")
    assert "'a'" in gap.problem
    assert "'first_name'" in gap.problem


def test_without_a_default_a_text_that_misses_a_variable_is_not_said_at_all(worlds):
    said = said_of(campaign_of(worlds, {"id": "a", "text": "Hi {{ first_name }}"}))
    assert "subject" not in said.texts
    assert [(gap.arm, gap.variable) for gap in said.missing] == [("a", "first_name")]
    assert said.texts["cta"] == "Join"


def test_a_part_that_misses_a_variable_is_left_out_and_named(worlds):
    arm = {"id": "a", "text": "Hi", "parts": {"greeting": "Dear {{ first_name }}", "tone": "warm"}}
    said = said_of(campaign_of(worlds, arm))
    assert said.parts["subject"] == {"tone": "warm"}
    assert [(gap.part, gap.variable) for gap in said.missing] == [("greeting", "first_name")]


def test_what_is_given_goes_before_what_is_known_and_that_before_the_fallback(worlds):
    content = {"variables": {"level": {"fallback": "some"}, "x": {}}}
    campaign = campaign_of(worlds, {"id": "a", "text": "{{ level }}"}, content=content)
    assert said_of(campaign, context={"level": "high"}, level="top").texts["subject"] == "top"
    assert said_of(campaign, context={"level": "high"}).texts["subject"] == "high"
    assert said_of(campaign, context={"level": None}).texts["subject"] == "some"


def test_a_protected_field_is_said_to_nobody_and_a_personal_one_is(worlds):
    fields = {"gender": {"kind": "categorical", "protected": True}, "city": {"kind": "categorical", "personal": True}}
    campaign = campaign_of(worlds, {"id": "a", "text": "{{ city }}{{ gender }}"}, context=fields)
    said = said_of(campaign, context={"gender": "f", "city": "Faro"})
    assert [gap.variable for gap in said.missing] == ["gender"]


def test_texts_can_ask_for_the_arms_chosen_beside_them(worlds):
    text = "{% if choice.channel == 'email' %}Long{% else %}Short{% endif %}"
    assert said_of(campaign_of(worlds, {"id": "a", "text": text})).texts["subject"] == "Long"


def test_texts_for_the_mail_provider_to_fill_in_stay_as_they_stand(worlds):
    arm = {"id": "a", "text": "{{#if name}}Hi *|NAME|*{{/if}}"}
    campaign = campaign_of(worlds, arm, content={"render": False})
    assert said_of(campaign).texts["subject"] == arm["text"]
    assert Wording.of(campaign).is_constant


def test_only_texts_with_braces_are_filled_in(worlds):
    assert Wording.of(campaign_of(worlds, {"id": "a", "text": "{Hi} 100 %"})).is_constant
    assert not Wording.of(campaign_of(worlds, {"id": "a", "text": "{{ n }}"})).is_constant


@pytest.mark.parametrize(
    ("arm", "content", "said"),
    [
        ({"text": "Hi {{ name"}, None, "dimension subject, arm a, text: found line 1"),
        ({"text": "{{ range(3) }}"}, None, "no functions"),
        ({"text": "Hi", "parts": {"greeting": "{% if %}"}}, None, "arm a, parts.greeting"),
        (
            {"text": "{{ n }}", "default": "{{ m }}"},
            None,
            "arm a, default: found '{{ m }}'; wanted a text without variables",
        ),
        ({"default": "Hi"}, None, "a text beside it"),
        ({"text": "Hi", "default": ""}, None, "default: found ''"),
        ({"text": "Hi", "parts": {"2nd": "x"}}, None, "parts.2nd"),
        ({"text": "Hi", "parts": {"tone": 3}}, None, "parts.tone: found 3"),
        ({"text": "{{ firstname }}"}, {"variables": {"first_name": {}}}, "found the variable firstname"),
        ({"text": "Hi"}, {"variables": {"loop": {}}}, "content.variables.loop"),
        ({"text": "Hi"}, {"variables": {"n": {"fallback": "a\nb"}}}, "in one line"),
        ({"text": "Hi"}, {"language": "english"}, "content.language: found 'english'"),
        ({"text": "Hi"}, {"template": "{% for x in y %}"}, "content.template: found"),
        ({"text": "Hi"}, {"template": " "}, "content.template"),
        ({"text": "Hi"}, {"plain": "Hi"}, "content.plain"),
        (
            {"text": "Hi"},
            {"template": "{{ nam }}", "variables": {"name": {}}},
            "content.template: found the variable nam",
        ),
        ({"text": "Hi"}, {"colour": "red"}, "no such key"),
    ],
)
def test_faults_of_texts_are_found_by_the_check_and_named_with_their_arm(worlds, arm, content, said):
    assert any(said in fault for fault in faults_of(worlds, {"id": "a", **arm}, content=content))


def test_faults_of_several_texts_are_named_at_once(worlds):
    assert (
        len(faults_of(worlds, {"id": "a", "text": "{{ a"}, {"id": "b", "text": "{{ b"}, content={"language": "x"})) == 3
    )


def test_a_template_changes_what_the_campaign_is(worlds):
    one, other = (
        campaign_of(worlds, {"id": "a", "text": "Hi"}, content={"template": page}) for page in ("<p>a</p>", "<p>b</p>")
    )
    assert one.content_hash != other.content_hash


@settings(max_examples=100, deadline=None)
@given(value=st.text(max_size=80))
def test_no_variable_brings_a_line_break_with_it(value):
    (found,) = checked_variables({"name": value}).values()
    assert len(str(found).splitlines()) <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"first name": "Ann"}, "no name of a variable"),
        ({"loop": 1}, "no name of a variable"),
        ({"n": float("nan")}, "cannot be filled"),
        ({"n": 10**30}, "cannot be filled"),
        ({"n": "x" * 1001}, "at most 1000"),
        ({"n": list(range(101))}, "100 are the most"),
        ({"n": [{"a": [1]}]}, "cannot be filled"),
        ({"n": [{"a": 1}, 2]}, "cannot be filled"),
        ({f"n{i}": 1 for i in range(201)}, "200 are the most"),
    ],
)
def test_variables_that_cannot_be_filled_in_are_refused_by_name(given, said):
    with pytest.raises(InvalidVariables, match=said):
        checked_variables(given)


def test_an_undeclared_variable_is_refused_where_the_campaign_declares_them():
    content = Content(variables={"first_name": None})
    assert content.checked({"first_name": "Ann"}) == {"first_name": "Ann"}
    with pytest.raises(InvalidVariables, match=r"'firstname' is not declared.*first_name"):
        content.checked({"firstname": "Ann"})


def test_the_parts_of_a_message_are_found_by_what_they_are_for():
    said = Said(
        {"subject": "S", "cta": "C", "footer": "F"},
        {
            "subject": {"colour": "#111", "tone": "warm", "x": "1"},
            "cta": {"colour": "#222"},
            "footer": {"tone": "cold"},
        },
    )
    message = Message.of(said)
    assert (message.subject, message.cta.text, message.cta.colour, message.tone) == ("S", "C", "#222", "warm")
    assert (message.greeting, message.cta.urgency, dict(message.other)) == (None, None, {"footer": "F", "x": "1"})


def page_of(campaign, **given):
    wording, choice = Wording.of(campaign), {"subject": "a", "cta": "join", "channel": "email"}
    variables = wording.variables(choice, {}, given) | {"decision_id": "d1"}
    return render_email(campaign, choice, wording.said(choice, variables), variables)


def test_a_whole_mail_has_the_texts_the_ids_and_the_blocks_and_escapes_each_value_once(worlds):
    arm = {"id": "a", "text": "{{ first_name }} & you"}
    campaign = campaign_of(worlds, arm, content={"template": PAGE, "language": "ar-EG"})
    html, text, missing = page_of(campaign, first_name="<script>")
    assert missing == ()
    assert html.startswith('<html lang="ar-EG" dir="rtl">')
    assert "<p>&lt;script&gt; &amp; you</p><p>by mail</p><p>A gift</p>" in html
    assert 'style="color: #c00">Join</a>' in html
    assert text == "<script> & you\n\nby mail\n\nA gift\n\nJoin (https://example.org/d1)"


def test_a_mail_with_a_hole_is_none_and_says_which(worlds):
    campaign = campaign_of(worlds, {"id": "a", "text": "Hi"}, content={"template": "<p>{{ city }}</p>"})
    page = page_of(campaign)
    assert (page.html, page.text, page.missing[0].part, page.missing[0].variable) == (None, None, "template", "city")
    without_subject = campaign_of(worlds, {"id": "a", "text": "Hi {{ n }}"}, content={"template": "<p>All</p>"})
    assert page_of(without_subject).html is None


def test_a_plain_text_of_its_own_goes_before_the_one_made_of_the_html(worlds):
    content = {"template": "<p>{{ subject }}</p>", "plain": "{{ subject }}: {{ cta.text }}"}
    assert page_of(campaign_of(worlds, {"id": "a", "text": "A & B"}, content=content)).text == "A & B: Join"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("a<br>b", "a\nb"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<style>p {}</style><p>a</p><script>x</script>", "a"),
        ('<div style="display:none">pre<img src="x"></div><p>a</p>', "a"),
        ('<img alt="A cup">', "A cup"),
        ('<a href="https://e.org/?a=1&amp;b=2">go</a>', "go (https://e.org/?a=1&b=2)"),
        ("<p>خصم &copy;</p>", "خصم ©"),
        ("<p>one\n   line</p>", "one line"),
    ],
)
def test_the_plain_text_says_what_a_reader_of_the_html_sees(html, text):
    assert text_of_html(html) == text


def test_a_campaign_without_the_table_has_no_language_and_any_variables():
    campaign = read_campaign(
        '[campaign]\nid = "c"\n[reward]\nwindow = "1h"\nevents = { click = 1.0 }\n[[dimension]]\nname = "subject"\n'
        'arm = [{ id = "a", text = "{{ anything }}" }]\n'
    )
    assert campaign.content == Content()
