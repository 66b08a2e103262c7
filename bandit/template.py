"""Templates of a campaign file: Jinja2 in its sandbox, cut down to what can neither hang the server nor reach into it.

A template may say variables, conditions, loops over lists that were given, blocks, and filters of `FILTERS`. It may not call
a function (so no `range`), set a variable, define a macro, include another file, or read anything of a value but the items
of an object. How many steps it can take at most is known before it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, meta, nodes

from bandit.template_sandbox import FILTERS, LISTED, LONGEST_LIST, TESTS, MissingVariable, environment_for

LONGEST_SOURCE: Final = 200_000
LONGEST_RENDERED: Final = 1_000_000
MOST_STEPS: Final = 200_000
"""Parts of a template times the most often that the loops around them can run: about a tenth of a second."""
DEEPEST: Final = 30
_FORBIDDEN: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "a call: no functions",
    nodes.Pow: "a power",
    nodes.Mod: "a %",
    nodes.Div: "a division",
    nodes.FloorDiv: "a division",
    nodes.Slice: "a slice",
    nodes.Dict: "an object",
    nodes.Assign: "a set",
    nodes.AssignBlock: "a set",
    nodes.With: "a with",
    nodes.Macro: "a macro",
    nodes.CallBlock: "a call",
    nodes.FilterBlock: "a block of filters",
    nodes.Include: "an include",
    nodes.Import: "an import",
    nodes.FromImport: "an import",
    nodes.Extends: "an extends",
    nodes.Scope: "an autoescape",
}
_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Block, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul,
    nodes.Concat, nodes.Test, nodes.Filter, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.List, nodes.Tuple,
)  # fmt: skip


class InvalidTemplate(ValueError):
    """A template that does not parse, or says what a template may not say."""


class Unrenderable(ValueError):
    """A template that cannot be filled in for these variables.

    Attributes:
        variable: the one that is missing; None where something else is wrong.
    """

    def __init__(self, message: str, variable: str | None = None) -> None:
        super().__init__(message)
        self.variable = variable


class Template:
    """A template, compiled once.

    Args:
        source: its text.
        html: whether values are escaped, for HTML; not for subject lines and other plain text.

    Attributes:
        names: variables that it looks at.

    Raises:
        InvalidTemplate: saying what is wrong, and in which line.

    >>> Template("Hi {{ first_name }}{% if days > 30 %}, long time no see{% endif %}").render({"first_name": "Ann", "days": 31})
    'Hi Ann, long time no see'
    >>> Template("<b>{{ city }}</b>", html=True).render({"city": "<i>"})
    '<b>&lt;i&gt;</b>'
    """

    __slots__ = ("_compiled", "names")

    def __init__(self, source: str, *, html: bool = False) -> None:
        tree, self.names = _checked(source, html=html)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, LISTED, [], [], None, None, lineno=loop.lineno)
        self._compiled: JinjaTemplate = environment_for(html).from_string(tree)

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text for one customer.

        Args:
            variables: checked ones; see `bandit.variables`.

        Raises:
            Unrenderable: if a variable is missing, or what comes out is too long.
        """
        found, length = [], 0
        try:
            # Not `render`, which rewrites the traceback of each missing variable. Shared: there are no globals to add.
            for piece in self._compiled.root_render_func(self._compiled.new_context(dict(variables), shared=True)):
                length += len(piece)
                if length > LONGEST_RENDERED:
                    raise Unrenderable(f"it becomes longer than {LONGEST_RENDERED} characters")
                found.append(piece)
        except MissingVariable as error:
            raise Unrenderable(f"no value for {error.name!r}", error.name) from error
        except (
            TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, AssertionError, AttributeError,
            MemoryError,
        ) as error:  # fmt: skip
            raise error if isinstance(error, Unrenderable) else Unrenderable(str(error)) from error
        return "".join(found)


def template_faults(source: str, *, html: bool = False) -> str:
    """What is wrong with a template, empty if nothing is; without compiling it.

    >>> template_faults("{% for i in range(10**9) %}{{ i }}{% endfor %}")
    'line 1: a call: no functions'
    """
    try:
        _checked(source, html=html)
    except InvalidTemplate as error:
        return str(error)
    return ""


def names_in(source: str) -> frozenset[str]:
    """Variables that a valid template looks at.

    >>> sorted(names_in("{{ city }} {% for one in products %}{{ one.name }}{% endfor %}"))
    ['city', 'products']
    """
    return _checked(source, html=False)[1]


def _checked(source: str, *, html: bool) -> tuple[nodes.Template, frozenset[str]]:
    """The parsed template and the variables it looks at."""
    if len(source) > LONGEST_SOURCE:
        raise InvalidTemplate(f"{len(source)} characters: more than {LONGEST_SOURCE}")
    environment = environment_for(html)
    try:
        tree = environment.parse(source)
        n_steps = _steps(tree, 1, 0)
        names = meta.find_undeclared_variables(tree)
    except TemplateError as error:
        line = getattr(error, "lineno", 1)
        raise InvalidTemplate(f"line {line}: {error.message}") from error
    except RecursionError as error:
        raise InvalidTemplate(f"parts within parts, deeper than {DEEPEST}") from error
    except ValueError as error:  # a number of 5,000 digits
        raise error if isinstance(error, InvalidTemplate) else InvalidTemplate(str(error)) from error
    if n_steps > MOST_STEPS:
        raise InvalidTemplate(
            f"loops that can take {n_steps} steps, over lists of up to {LONGEST_LIST} items: more than {MOST_STEPS}"
        )
    return tree, frozenset(names)


def _steps(node: nodes.Node, times: int, depth: int) -> int:
    """How many parts are gone through at most, each of them allowed."""
    if depth > DEEPEST:
        raise InvalidTemplate(f"line {node.lineno}: parts within parts, deeper than {DEEPEST}")
    _refuse(node)
    inside = times * LONGEST_LIST if isinstance(node, nodes.For) else times
    return times + sum(_steps(child, inside, depth + 1) for child in node.iter_child_nodes())


def _refuse(node: nodes.Node) -> None:
    where = f"line {node.lineno or 1}: "
    if not isinstance(node, _ALLOWED):
        raise InvalidTemplate(
            where + _FORBIDDEN.get(type(node), f"a part that a template may not have ({type(node).__name__})")
        )
    if isinstance(node, nodes.For) and node.recursive:
        raise InvalidTemplate(where + "a recursive loop")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise InvalidTemplate(f"{where}the filter {node.name}; there are {', '.join(FILTERS)}")
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise InvalidTemplate(f"{where}the test {node.name}; there are {', '.join(TESTS)}")
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise InvalidTemplate(where + "a call with * or **")
