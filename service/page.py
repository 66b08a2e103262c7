"""HTML pages to send around: one file each, nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }}
td, th {{ text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #ddd }}
small {{ color: #555 }}
.verdict {{ font-weight: bold; padding: .2rem .6rem; border-radius: .3rem; background: #ddd }}
.reliable, .winner, .ok {{ background: #cfe8cf }}
.thin, .go-on, .same {{ background: #f5e9b8 }}
.unreliable {{ background: #f6cfae }}
.cannot-answer, .harm, .alarm {{ background: #f2b8b8 }}
</style></head><body>
<h1>{heading}</h1>
{body}
</body></html>
"""


def page(title: str, heading: str, *parts: str) -> str:
    """A whole page.

    Args:
        title: of the window, as text.
        heading: of the page, as text.
        parts: HTML, one below the other.

    >>> "&lt;b&gt;" in page("a", "<b>", "<p>c</p>")
    True
    """
    return _PAGE.format(title=escape(title), heading=escape(heading), body="\n".join(parts))


def badge(word: str, kind: str) -> str:
    """A word on the colour of its kind, the name of an enumeration's member.

    >>> badge("cannot answer", "CANNOT_ANSWER")
    '<span class="verdict cannot-answer">cannot answer</span>'
    """
    return f'<span class="verdict {kind.lower().replace("_", "-")}">{escape(word)}</span>'


def table(head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> str:
    """A table; the head is text, cells are HTML.

    >>> table(("a",), [("<b>1</b>",)])
    '<table><tr><th>a</th></tr><tr><td><b>1</b></td></tr></table>'
    """
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def interval_bar(value: float, ends: tuple[float, float], low: float, high: float) -> str:
    """An interval as a line with its value as a dot, on the scale from low to high, with a mark at 0 where that lies between.

    >>> interval_bar(0.5, (0.0, 1.0), 0.0, 1.0).count("<circle")
    1
    """
    width = (high - low) or 1.0
    at, first, last, zero = (10.0 + 200.0 * (end - low) / width for end in (value, *ends, 0.0))
    mark = f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="14" stroke="#b33"/>' if low < 0.0 < high else ""
    return (
        f'<svg width="220" height="14" role="img" aria-label="interval">{mark}<line x1="{first:.1f}" x2="{last:.1f}" y1="7" '
        f'y2="7" stroke="#456" stroke-width="3"/><circle cx="{at:.1f}" cy="7" r="4" fill="#123"/></svg>'
    )
