"""The page of an evaluation needs nothing else, and nothing that stands in a log becomes a part of its markup."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from service.cli import main

HOSTILE = "<script>alert('x')</script>&\"{0}"


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    """Asks about a log of 600 rows with two arms; returns the page and what was printed."""

    def ask(*arguments, arms=("a", "b"), n=600, code=0):
        with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([("arm", "opened", "p", "never")])
            writer.writerows([(arms[i % 2], int(i % 6 in {0, 1, 4}), 0.5, 0.0) for i in range(n)])
        named = [str(tmp_path / "log.csv"), "--arm", "arm", "--reward", "opened", "--propensity", "p"]
        result = CliRunner().invoke(main, ["evaluate", *named, *arguments, "--html", str(tmp_path / "page.html")])
        assert result.exit_code == code, result.output
        return (tmp_path / "page.html").read_text(encoding="utf-8"), result.stdout

    return ask


def test_the_page_stands_alone(page):
    found = Tags(page("--target", "fixed:a", "--against", "uniform")[0])
    assert {tag for tag, _ in found.tags} >= {"html", "title", "style", "table", "svg"}
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found.tags}
    assert not {"src", "href", "xlink:href", "onload"} & {name for _, attributes in found.tags for name in attributes}


def test_the_page_says_what_the_document_says(page):
    written, printed = page("--target", "fixed:a", "--against", "fixed:b", "--json")
    found, text = json.loads(printed), Tags(written).text
    for document in (found, found["against"], found | {"estimators": found["difference"]}):
        for name, one in document["estimators"].items():
            assert name in text
            assert f"{one['value']:.5f}" in text
            assert f"{one['ci_lower']:.4f} to {one['ci_upper']:.4f}" in text
    assert "reliable" in text
    assert "fixed:a minus fixed:b" in text


def test_a_hostile_arm_name_is_shown_and_not_run(page):
    written, _ = page("--target", f"fixed:{HOSTILE}", "--against", "uniform", arms=(HOSTILE, "b"))
    assert "<script" not in written
    assert f"fixed:{HOSTILE} would have earned" in Tags(written).text
    assert f"fixed:{HOSTILE} minus uniform" in Tags(written).text


def test_a_log_that_cannot_answer_gets_a_page_that_says_why_and_no_numbers(page):
    written, printed = page("--target", "column:never", code=1)
    assert "cannot answer" in Tags(written).text
    assert "In none of the 600 sends" in Tags(written).text
    assert "In none of the 600 sends" in printed
    assert not any(tag in {"svg", "td"} for tag, _ in Tags(written).tags)


def test_an_unreliable_answer_shows_its_reasons_on_the_page(page):
    written, _ = page("--target", "fixed:a", n=60)
    assert "unreliable" in Tags(written).text
    assert "worth only 30 sends of the target's own" in Tags(written).text


def test_an_older_page_is_replaced(page, tmp_path):
    (tmp_path / "page.html").write_text("old " * 100_000)
    assert "old " * 10 not in page("--target", "uniform")[0]


def test_the_text_names_both_targets_and_their_difference(page):
    _, printed = page("--target", "fixed:a", "--against", "fixed:b")
    assert "fixed:a minus fixed:b, row by row" in printed
    assert printed.count("cressie-read") == 3
