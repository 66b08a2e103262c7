"""What it costs to fill in texts: the JSON of an answer's texts, alone.

Run: .venv/bin/python benchmarks/rendering.py

Four dimensions, of which three have texts. As they stand in the file, the parts of an answer are made once for each choice and
kept; beside it what was done before there were templates: a dict of texts for each answer. Then with a first name in each of
the three texts, with a default in place of a missing one, and with the whole e-mail.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import msgspec
from timing import in_turns, keep, ratio

from bandit import read_campaign
from bandit.campaign import Campaign
from service.wording import Filling, ServedWording

CHOICE = {"subject": "a", "benefit": "a", "cta": "a", "channel": "a"}
PAGE = (
    "<html lang='{{ language }}'><body><h1>{{ subject }}</h1>{% if channel == 'a' %}<p>{{ benefit }}</p>{% endif %}"
    "{% for one in products %}<p>{{ one.name }}: {{ one.price }}</p>{% endfor %}"
    "<a href='https://example.org' style='color: {{ cta.colour }}'>{{ cta.text }}</a></body></html>"
)
PRODUCTS: list[dict[str, str | float | bool]] = [{"name": f"Cup {i}", "price": 9.5 + i} for i in range(4)]


def campaign_of(said: str) -> Campaign:
    """A campaign whose texts all hold this."""
    text = f'text = "Become this month\'s champion, {said}", default = "Become this month\'s champion"'
    dimensions = "".join(
        f'[[dimension]]\nname = "{name}"\narm = [{{ id = "a", {text if name != "channel" else "features = { x = 1 }"} }}]\n'
        for name in CHOICE
    )
    head = '[campaign]\nid = "c"\n[reward]\nwindow = "1h"\nevents = { click = 1.0 }\n'
    return read_campaign(f"{head}[content]\ntemplate = '''{PAGE}'''\n{dimensions}")


def contestants() -> dict[str, Callable[[], object]]:
    """Each way to make an answer's texts."""
    plain, named = campaign_of("Ann"), campaign_of("{{ first_name }}")
    constant, filled, encoder = ServedWording(plain), ServedWording(named), msgspec.json.Encoder()
    given, nothing = Filling({"first_name": "Ann"}), Filling({})
    whole = Filling({"first_name": "Ann", "products": list(PRODUCTS)}, is_whole=True)

    def before() -> bytes:
        arms = ((d.name, d.arms[d.index_of(CHOICE[d.name])]) for d in plain.dimensions)
        return encoder.encode({name: arm.text for name, arm in arms if arm.text})

    return {
        "a dict of texts for each answer": before,
        "as they stand": lambda: constant.spoken(CHOICE, {}, nothing, "d1", None),
        "three names filled in": lambda: filled.spoken(CHOICE, {}, given, "d1", None),
        "three defaults": lambda: filled.spoken(CHOICE, {}, nothing, "d1", None),
        "the whole e-mail": lambda: filled.spoken(CHOICE, {}, whole, "d1", "/v1/unsubscribe/x"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few calls, nothing written: does it run?")
    options = parser.parse_args()
    times = in_turns(contestants(), rounds=2 if options.smoke else 25, repeats=2 if options.smoke else 500)
    if options.smoke:
        print("ok")
        return
    medians = {name: round(statistics.median(found), 2) for name, found in times.items()}
    keep(
        "rendering",
        {
            "microseconds": medians,
            "as they stand / a dict": ratio(times, "as they stand", "a dict of texts for each answer"),
        },
    )


if __name__ == "__main__":
    main()
