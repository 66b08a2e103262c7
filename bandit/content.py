"""The `[content]` table of the campaign file: the language, the variables that texts may name, and the e-mail's template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bandit.dimension import Arm, Dimension
from bandit.fault import Fault, Reader, is_number
from bandit.schema import Schema
from bandit.variables import LONGEST_VALUE, RESERVED, VARIABLE_NAME, Scalar, Value, checked_variables, one_line

LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?(-([A-Za-z\d]{5,8}|\d[A-Za-z\d]{3}))*")
RIGHT_TO_LEFT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ku-Arab", "ps", "sd", "ug", "ur", "yi"})
MADE: Final = (
    "language", "direction", "decision_id", "unsubscribe_path", "cta", "subject", "greeting", "benefit", "social_proof", "tone",
)  # fmt: skip
"""What an e-mail's template finds besides variables, the dimensions and the parts of arms."""
_SHOWN_TEMPLATE: Final = (
    "a template (docs/content.md); where the mail provider fills in texts: [content] render = false"
)


@dataclass(frozen=True, slots=True)
class Content:
    """How texts are filled in.

    Attributes:
        language: of the texts, as in BCP 47; empty where the file does not say.
        variables: the declared ones with the value that stands in for a missing one, None where nothing does; None where the
            file declares none, so that texts may name anything.
        template: of the whole e-mail, HTML; empty for none.
        plain: of its plain-text alternative; empty where it is made of the HTML.
        renders: whether texts are filled in here; false leaves them as they stand, for the mail provider to do it.
    """

    language: str = ""
    variables: Mapping[str, Scalar | None] | None = None
    template: str = field(default="", repr=False)
    plain: str = field(default="", repr=False)
    renders: bool = True

    @property
    def direction(self) -> str:
        """`rtl` for languages written from right to left, else `ltr`.

        >>> Content("ar-EG").direction, Content("es").direction
        ('rtl', 'ltr')
        """
        tongue = self.language.partition("-")[0]
        return "rtl" if tongue in RIGHT_TO_LEFT or "-Arab" in self.language or "-Hebr" in self.language else "ltr"

    def checked(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The variables of one message.

        Raises:
            InvalidVariables: if one is not declared, or nothing that can be filled in.
        """
        return checked_variables(given, self.variables)


def read_content(table: Reader) -> Content:
    """The table, with its faults noted."""
    language = _language(table) if "language" in table.names() else ""
    variables = _variables(table.table("variables")) if "variables" in table.names() else None
    template = _template(table, "template", html=True)
    plain = _template(table, "plain", html=False)
    if plain and not template:
        table.fault("plain", plain, "a template too: plain is its alternative in plain text")
    renders = table.boolean("render", default=True)
    table.refuse_the_rest(("language", "variables", "template", "plain", "render"))
    return Content(language, variables, template, plain, renders)


def _language(table: Reader) -> str:
    wanted = "a BCP 47 tag such as es, es-MX or zh-Hant"
    language = table.text("language", wanted=wanted)
    if language and not LANGUAGE.fullmatch(language):
        table.fault("language", language, wanted)
    return language


def _variables(table: Reader) -> dict[str, Scalar | None]:
    found: dict[str, Scalar | None] = {}
    for name in table.names():
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            table.fault(name, table.take(name), f"a name of letters, digits and _, and none of {', '.join(RESERVED)}")
            continue
        entry = table.table(name)
        found[name] = _fallback(entry) if "fallback" in entry.names() else None
        entry.refuse_the_rest(("fallback",))
    return found


def _fallback(table: Reader) -> Scalar | None:
    found = table.take("fallback")
    if isinstance(found, str) and 0 < len(found) <= LONGEST_VALUE and found == one_line(found):
        return found
    if isinstance(found, bool) or is_number(found):
        return found
    table.fault("fallback", found, "what stands where nothing is known: a text in one line, a number, true or false")
    return None


def _template(table: Reader, key: str, *, html: bool) -> str:
    if key not in table.names():
        return ""
    source = table.take(key)
    if not isinstance(source, str) or not source.strip():
        table.fault(key, source, 'the text of a template, between """ and """')
        return ""
    from bandit.template import template_faults  # noqa: PLC0415 - a tenth of a second, for who has templates

    wrong = template_faults(source, html=html)
    if wrong:
        table.fault(key, wrong, _SHOWN_TEMPLATE)
        return ""
    return source


def refuse_unfillable(content: Content, schema: Schema, dimensions: Sequence[Dimension], faults: list[Fault]) -> None:
    """Note arms whose texts do not parse or name what is declared nowhere, and defaults that are not as they must be."""
    known = known_names(content, schema)
    for dimension in dimensions:
        for arm in dimension.arms:
            where = f"dimension {dimension.name}, arm {arm.id}"
            faults.extend(_faults_of(arm, where, content, known))
    if known is not None and content.template:
        parts = {name for d in dimensions for arm in d.arms for name in arm.parts}
        found = {*known, *MADE, *parts, *(d.name for d in dimensions)}
        for key, source in (("template", content.template), ("plain", content.plain)):
            faults.extend(_unknown_names(source, f"content.{key}", found))


def known_names(content: Content, schema: Schema) -> frozenset[str] | None:
    """What the texts of arms may name; None where the file declares no variables, and so anything."""
    if content.variables is None:
        return None
    return frozenset({*content.variables, *open_fields(schema), "choice"})


def open_fields(schema: Schema) -> tuple[str, ...]:
    """Fields of the context that texts may say: a protected one may decide what somebody reads as little as what they get."""
    return tuple(item.name for item in schema.fields if item.personal or not item.protected)


def _faults_of(arm: Arm, where: str, content: Content, known: frozenset[str] | None) -> list[Fault]:
    if not content.renders:
        return []
    found: list[Fault] = []
    for name, source in (("text", arm.text), *((f"parts.{name}", part) for name, part in arm.parts.items())):
        found.extend(_source_faults(source, f"{where}, {name}", known))
    if arm.default:
        if has_braces(arm.default):
            found.append(
                Fault(
                    f"{where}, default", repr(arm.default), "a text without variables: it stands in for one that misses"
                )
            )
        if not arm.text:
            found.append(Fault(f"{where}, default", repr(arm.default), "a text beside it: default stands in for it"))
    return found


def _source_faults(source: str, where: str, known: frozenset[str] | None) -> list[Fault]:
    if not has_braces(source):
        return []
    from bandit.template import template_faults  # noqa: PLC0415 - a tenth of a second, for who has templates

    wrong = template_faults(source)
    if wrong:
        return [Fault(where, wrong, _SHOWN_TEMPLATE)]
    return [] if known is None else _unknown_names(source, where, known)


def _unknown_names(source: str, where: str, known: frozenset[str] | set[str]) -> list[Fault]:
    if not source:
        return []
    from bandit.template import names_in  # noqa: PLC0415 - a tenth of a second, for who has templates

    listed = ", ".join(sorted(known))
    return [
        Fault(where, f"the variable {name}", f"one that is declared under [content.variables] or [context]: {listed}")
        for name in sorted(names_in(source) - known)
    ]


def has_braces(text: str) -> bool:
    """Whether a text holds anything to be filled in.

    >>> has_braces("Hi {{ first_name }}"), has_braces("Hi {there}")
    (True, False)
    """
    return "{{" in text or "{%" in text or "{#" in text
