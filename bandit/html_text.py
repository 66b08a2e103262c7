"""The plain-text alternative of an HTML e-mail: what it says, in paragraphs, with the address after each link's words."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

BLOCKS: Final = frozenset(
    {
        "address", "article", "blockquote", "body", "br", "dd", "div", "dl", "dt", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
        "header", "hr", "li", "main", "ol", "p", "section", "table", "td", "th", "title", "tr", "ul",
    }
)  # fmt: skip
UNSAID: Final = frozenset({"head", "script", "style", "title"})
"""Parts whose contents nobody reads."""
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HIDDEN: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACES: Final = re.compile(r"[ \t\r\f\v]+")


def text_of_html(html: str) -> str:
    """What an HTML e-mail says, as plain text.

    What is hidden is left out, the preview line too. An image is its `alt`.

    >>> print(text_of_html('<p>Hi Ann &amp; Bob,</p><p>ready?<br><a href="https://example.org/join">Join</a></p>'))
    Hi Ann & Bob,
    <BLANKLINE>
    ready?
    Join (https://example.org/join)
    """
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = [_SPACES.sub(" ", line).strip() for line in "".join(parser.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Text(HTMLParser):
    """Collects what is said between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._links: list[str] = []
        self._unsaid: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if self._unsaid or tag in UNSAID or _HIDDEN.search(found.get("style", "")) or "hidden" in found:
            if tag not in _VOID:
                self._unsaid.append(tag)
            return
        self._open(tag, found)

    def handle_endtag(self, tag: str) -> None:
        if self._unsaid:
            # What was opened inside and never closed ends here too.
            if tag in self._unsaid:
                del self._unsaid[len(self._unsaid) - 1 - self._unsaid[::-1].index(tag) :]
            return
        if tag == "a" and self._links:
            link = self._links.pop()
            self.pieces.append(f" ({link})" if link else "")
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unsaid:
            self.pieces.append(data.replace("\n", " "))

    def _open(self, tag: str, found: dict[str, str]) -> None:
        if tag == "a":
            self._links.append(found.get("href", ""))
        elif tag == "img":
            self.pieces.append(found.get("alt", ""))
        elif tag == "li":
            self.pieces.append("\n- ")
        else:
            self._break(tag)

    def _break(self, tag: str) -> None:
        if tag in {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"}:
            self.pieces.append("\n\n")
        elif tag in BLOCKS and tag != "li":
            self.pieces.append("\n")
