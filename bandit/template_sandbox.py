"""The sandbox that templates run in: Jinja2's own, without any function, and with what could take long taken out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final

from jinja2 import Undefined, UndefinedError, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup, escape

from bandit.fault import is_number, shown

LONGEST_LIST: Final = 100
"""Items that a list may have over which a template goes."""
LONGEST_JOINED: Final = 100_000
"""Characters of a text that is joined from a list."""
LARGEST_NUMBER: Final = 1e15
FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "join", "last", "length", "lower",
    "round", "title", "trim", "truncate", "upper", "urlencode", "wordcount",
)  # fmt: skip
TESTS: Final = (
    "defined",
    "undefined",
    "in",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "even",
    "odd",
    "number",
    "string",
    "true",
    "false",
)
LISTED: Final = "_listed"
"""Filter that is put around what each loop goes over."""
_LOOP: Final = frozenset({"index", "index0", "first", "last", "length"})


class MissingVariable(UndefinedError):
    """A variable without a value."""

    def __init__(self, name: str, message: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class _Missing(Undefined):
    """A value that is not there: whatever is done with it but asking whether it is there says its name."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,  # noqa: ANN401 - jinja2's own signature
        name: str | None = None,
        exc: type[Exception] = UndefinedError,
    ) -> None:
        named = partial(MissingVariable, name or "?") if exc is UndefinedError else exc
        super().__init__(hint, obj, name, named)  # type: ignore[arg-type]

    __iter__ = __str__ = __len__ = Undefined._fail_with_undefined_error  # noqa: SLF001 - as StrictUndefined is made
    __eq__ = __ne__ = __bool__ = __hash__ = Undefined._fail_with_undefined_error  # noqa: SLF001
    __contains__ = Undefined._fail_with_undefined_error  # noqa: SLF001


class SandboxedTexts(ImmutableSandboxedEnvironment):
    """The sandbox, without any function, and with numbers that stay numbers."""

    intercepted_binops = frozenset({"+", "-", "*"})

    def __init__(self, *, html: bool) -> None:
        super().__init__(autoescape=html, undefined=_Missing, finalize=_shown, keep_trailing_newline=True, cache_size=0)
        self.globals.clear()
        own = {"round": _rounded, "join": _joined, "truncate": _truncated, LISTED: _listed}
        self.filters = {name: self.filters[name] for name in FILTERS} | own
        self.tests = {name: self.tests[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - jinja2's own signature
        """An item of an object that was given, or a fact of the loop; nothing else."""
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - jinja2's own signature
        """An item of an object or a list that was given."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if isinstance(obj, (list, tuple)) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(name=str(argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Reckoning with numbers alone, to a number of bearable size."""
        if not (is_number(left) and is_number(right)):
            raise TypeError(
                f"{shown(left)} {operator} {shown(right)}: only numbers can be reckoned with; join texts with ~"
            )
        found = super().call_binop(context, operator, left, right)
        if abs(found) > LARGEST_NUMBER:
            raise ArithmeticError(f"a number larger than {LARGEST_NUMBER:g}")
        return found


@cache
def environment_for(html: bool) -> SandboxedTexts:
    """The sandbox for HTML, in which every value is escaped, or for plain text; each is made once."""
    return SandboxedTexts(html=html)


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template says
    """A value as it stands in a text: true and 3, not True and 3.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rounded(value: Any, precision: int = 0) -> float:  # noqa: ANN401 - whatever a template says
    """A number with so many digits after the point; jinja2's own takes hours for a precision of 10**9."""
    if not (is_number(value) and is_number(precision) and 0 <= precision <= 10):
        raise ValueError(f"{shown(value)} rounded to {shown(precision)} digits: need a number, and 0 to 10 digits")
    return round(float(value), int(precision))


@pass_eval_context
def _joined(context: EvalContext, value: Any, between: Any = "") -> str:  # noqa: ANN401 - whatever a template says
    """Items of a list as one text; jinja2's own joins the letters of a text too, and so what is joined already."""
    items = [_escaped(context, item) for item in _listed(value)]
    middle = _escaped(context, between)
    if sum(map(len, items)) + len(middle) * len(items) > LONGEST_JOINED:
        raise ValueError(f"joined items would be longer than {LONGEST_JOINED} characters")
    found = middle.join(items)
    return Markup(found) if context.autoescape else found  # noqa: S704 - each item was escaped


def _escaped(context: EvalContext, value: Any) -> str:  # noqa: ANN401 - whatever a template says
    text = _shown(value)
    return str(escape(text)) if context.autoescape else str(text)


def _truncated(value: Any, length: Any = 255, killwords: Any = False, end: Any = "...") -> str:  # noqa: ANN401
    """The beginning of a text with a mark at its end, in so many characters; jinja2's own gives up on short lengths."""
    if not (is_number(length) and length >= 1 and isinstance(end, str)):
        raise ValueError(f"a text cut to {shown(length)} characters: need a number from 1 on")
    text, most = str(_shown(value)), int(length)
    if len(text) <= most:
        return text
    kept = text[: max(most - len(end), 0)]
    return (kept if killwords else kept.rpartition(" ")[0] or kept) + end[:most]


def _listed(value: Any) -> Any:  # noqa: ANN401 - whatever a template says
    """What a loop goes over: a list, and not the letters of a text."""
    if isinstance(value, Undefined):
        return iter(value)
    if not isinstance(value, (list, tuple)) or len(value) > LONGEST_LIST:
        raise ValueError(f"a loop over {shown(value)}: need a list of at most {LONGEST_LIST} items")
    return value
