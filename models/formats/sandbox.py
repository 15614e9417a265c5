"""A Jinja sandbox with a work limit, for templates from untrusted files.

Jinja's immutable sandbox keeps a template away from the interpreter's internals, but doesn't limit
its time and memory: loops can nest, strings can double, and one multiplication can request a
terabyte. Here every operation that can grow is first charged to an allowance.
"""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from string import Formatter
from typing import Any, TypeVar

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

ALLOWANCE = 1 << 24  # units of work per rendering: one for each character written or read
PER_CHARACTER = 1000  # additional units per character of the variables
ELEMENT = 16  # units per value, whatever it contains
TURN = 128  # units per loop iteration, call or filter

Made = TypeVar("Made", bound=nodes.Node)

# Functions whose result can be as large as the product of their arguments' sizes.
MULTIPLIERS = {"batch", "expandtabs", "format", "indent", "join", "replace", "slice", "tojson"}

# Filters inserted into the parsed template, under names that no template can write.
MEASURED, TURNS, TEXT = "(measured)", "(turns)", "(text)"


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment for untrusted templates, with the block settings of chat templates.

    String formatting with a width or any other format specification is refused, since a width
    can request any amount of memory; plain ``{}`` and ``%s`` are allowed.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=self._measured,
            extensions=["jinja2.ext.loopcontrols", _GenerationTag],
        )
        self._left = ALLOWANCE
        self._lock = threading.Lock()
        del self.globals["lipsum"]
        for name, function in self.filters.items():
            self.add_filter(name, function)
        self.filters |= {MEASURED: self._measure_filter, TURNS: self._turns, TEXT: _text}

    def render(self, template: Template, variables: Mapping[str, Any]) -> str:
        """Render a template of this environment.

        Raises:
            SecurityError: the template does something forbidden, or too much work.
        """
        with self._lock:
            self._left = ALLOWANCE
            self._left += PER_CHARACTER * _size(variables, at_most=ALLOWANCE)
            return template.render(variables)

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Add a filter that is metered like Jinja's own."""
        self.filters[name] = self._metered(name, function)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function for a template; for a string's method, the string is charged too."""
        owner = getattr(function, "__self__", None)
        self._pay_for(getattr(function, "__name__", ""), owner, *args, **kwargs)
        return self._measured(super().call(context, function, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The safe form of a string's ``format``; refuses format specifications."""
        wrapped = super().wrap_str_format(value)
        if wrapped and any(spec for _, _, spec, _ in Formatter().parse(value.__self__)):
            raise SecurityError("it formats text with a specification, which is refused")
        return wrapped

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute ``+ * ** %``, whose results can be much larger than their operands."""
        if operator == "%" and isinstance(left, str):
            _refuse_width(left)
            self._pay_for("format", left, right)
        elif operator == "**":
            self._pay(_bits(left) * abs(right) if isinstance(right, int) else TURN)
        elif operator == "*" and not (isinstance(left, int) and isinstance(right, int)):
            self._pay_for("join", left, right)
        else:
            self._pay(_bits(left) + _bits(right))
        return self._measured(super().call_binop(context, operator, left, right))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Meters().visit(super()._parse(source, name, filename))
        return tree

    def _metered(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # keeps Jinja's attributes on what to pass to a filter
        def metered(*args: Any, **kwargs: Any) -> Any:
            if name == "format":
                _refuse_width(str(args[0]))
            self._pay_for(name, *args, **kwargs)
            value = function(*args, **kwargs)
            return self._turns(value) if isinstance(value, Iterator) else self._measured(value)

        return metered

    def _pay_for(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Charge for a function's arguments before it is called."""
        match [arg for arg in args if isinstance(arg, str)]:
            case [text, old, new] if name == "replace" and not kwargs:
                cost = len(text) + text.count(old) * len(new)
            case _:
                values = [*args, *kwargs.values()]
                extents = [_extent(value, at_most=self._left) for value in values]
                cost = math.prod(extents) if name in MULTIPLIERS else sum(extents)
        self._pay(TURN + cost)

    def _measured(self, value: Any) -> Any:
        self._pay(_size(value, at_most=self._left))
        return value

    @pass_context  # also keeps Jinja from evaluating the filter at compile time
    def _measure_filter(self, _: Context, value: Any) -> Any:
        return self._measured(value)

    def _turns(self, values: Iterable[Any]) -> list[Any]:
        turns = list(islice(values, self._left // TURN + 1))
        self._pay(len(turns) * TURN)
        return turns

    def _pay(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise SecurityError("it takes too much work or memory")


def _refuse_width(form: str) -> None:
    if "%" in re.sub("%[sdr%]", "", form):
        raise SecurityError("it formats text with a specification, which is refused")


def _bits(number: Any) -> int:
    return number.bit_length() if isinstance(number, int) else TURN


def _extent(value: Any, at_most: int) -> int:
    """The factor by which a value, as an argument, can multiply the work of a function."""
    match value:
        case int():
            return max(1, abs(value))
        case str() | bytes():
            return max(1, len(value))
        case _:
            return _size(value, at_most)


def _size(value: Any, at_most: int) -> int:
    """The size of a value in units, with shared parts counted at each occurrence.

    Counting stops soon after ``at_most``: lists that each contain the next one twice, forty deep,
    have more elements than could ever be counted.
    """
    size, pending = 0, [value]
    while pending and size <= at_most:
        one = pending.pop()
        size += ELEMENT
        match one:
            case str() | bytes():
                size += len(one)
            case range():
                size += ELEMENT * len(one)
            case Mapping():
                pending += [*one.keys(), *one.values()]
            case Namespace():
                pending.append(getattr(one, "_Namespace__attrs"))  # noqa: B009 - avoids mangling
            case list() | tuple() | set() | frozenset():
                pending += one
            case KeysView() | ValuesView() | ItemsView():
                pending += one
    return size


class _Meters(NodeTransformer):
    """Inserts the charging filters into a parsed template where Jinja has no hooks."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _through(TURNS, node.iter)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        """Rewrite ``a ~ b`` as additions of strings, which are metered."""
        self.generic_visit(node)
        texts: list[nodes.Expr] = [_through(TEXT, part) for part in node.nodes]
        return functools.reduce(lambda left, right: _at(left, nodes.Add(left, right)), texts)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return _through(MEASURED, _at(node, nodes.Const(node.data)))

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return _through(MEASURED, self.generic_visit(node))

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _through(MEASURED, node) if node.ctx == "load" else node


@pass_context  # also keeps Jinja from evaluating the filter at compile time
def _text(_: Context, value: Any) -> str:
    """A value as a plain string, even if it is marked safe: ``+`` would escape, ``~`` doesn't."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def _through(name: str, value: nodes.Node) -> nodes.Filter:
    return _at(value, nodes.Filter(value, name, [], [], None, None))


def _at(place: nodes.Node, node: Made) -> Made:
    if place.environment:
        node.set_environment(place.environment)
    node.set_lineno(place.lineno)
    return node


class _GenerationTag(Extension):
    """Ignores ``{% generation %}``, which marks the text that counts in a training loss."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
