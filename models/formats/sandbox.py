"""A Jinja sandbox with a work limit, for templates from untrusted files.

Jinja's immutable sandbox keeps a template from the interpreter's insides, but not from using
up its time and memory: loops nest, texts double, and one multiplication can ask for a terabyte.
Here whatever can grow pays from an allowance first.
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

ALLOWANCE = 1 << 24  # units of work of one rendering: a character made or looked at is one
PER_CHARACTER = 1000  # units more for each character of the variables
ELEMENT = 16  # units of one value, whatever it holds
TURN = 128  # units of one turn of a loop, one call, one filter

Made = TypeVar("Made", bound=nodes.Node)

# What can make of its arguments as much as the product of their sizes.
MULTIPLIERS = {"batch", "expandtabs", "format", "indent", "join", "replace", "slice", "tojson"}

# Filters put into the parsed template, by names that no template can write.
MEASURED, TURNS, TEXT = "(measured)", "(turns)", "(text)"


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment for untrusted templates, with the block rules of chat templates.

    Formatting a text with a width or any other such specification is refused, since a width
    can ask for any amount of memory; ``{}`` and ``%s`` are there.
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
        """What ``template``, of this environment, makes of ``variables``.

        Raises:
            SecurityError: it does something forbidden, or too much.
        """
        with self._lock:
            self._left = ALLOWANCE
            self._left += PER_CHARACTER * _size(variables, at_most=ALLOWANCE)
            return template.render(variables)

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Give templates a filter of ours, metered as Jinja's own are."""
        self.filters[name] = self._metered(name, function)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call for a template; a text's method pays for the text too."""
        owner = getattr(function, "__self__", None)
        self._pay_for(getattr(function, "__name__", ""), owner, *args, **kwargs)
        return self._measured(super().call(context, function, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The safe form of a text's ``format``, where it asks for no width."""
        wrapped = super().wrap_str_format(value)
        if wrapped and any(spec for _, _, spec, _ in Formatter().parse(value.__self__)):
            raise SecurityError("it formats text with a specification, which is refused")
        return wrapped

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute ``+ * ** %``, which can make something large of something small."""
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
        @functools.wraps(function)  # keeps Jinja's marks of what a filter is passed
        def metered(*args: Any, **kwargs: Any) -> Any:
            if name == "format":
                _refuse_width(str(args[0]))
            self._pay_for(name, *args, **kwargs)
            value = function(*args, **kwargs)
            return self._turns(value) if isinstance(value, Iterator) else self._measured(value)

        return metered

    def _pay_for(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Pay for a function's arguments before it takes them, and so before it is too late."""
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

    @pass_context  # which also keeps Jinja from computing it when it compiles
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
    """By how much a value, as an argument, can multiply the work of a function."""
    match value:
        case int():
            return max(1, abs(value))
        case str() | bytes():
            return max(1, len(value))
        case _:
            return _size(value, at_most)


def _size(value: Any, at_most: int) -> int:
    """Characters and elements in a value, those of nested ones again at each place they stand.

    Counting stops soon after ``at_most``: a list that nests itself twice over, forty deep, has
    more elements than could ever be counted.
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
                pending.append(getattr(one, "_Namespace__attrs"))  # noqa: B009 - else the name is mangled
            case list() | tuple() | set() | frozenset():
                pending += one
            case KeysView() | ValuesView() | ItemsView():
                pending += one
    return size


class _Meters(NodeTransformer):
    """Puts the filters that pay into a parsed template, where no hook of Jinja's reaches."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _through(TURNS, node.iter)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        """``a ~ b`` as additions of texts, which are metered."""
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


@pass_context  # which also keeps Jinja from computing it when it compiles
def _text(_: Context, value: Any) -> str:
    """Plain text, also of what was marked safe: ``~`` escapes nothing, and ``+`` would."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def _through(name: str, value: nodes.Node) -> nodes.Filter:
    return _at(value, nodes.Filter(value, name, [], [], None, None))


def _at(place: nodes.Node, node: Made) -> Made:
    if place.environment:
        node.set_environment(place.environment)
    node.set_lineno(place.lineno)
    return node


class _GenerationTag(Extension):
    """Ignores ``{% generation %}``, with which templates mark what a training loss counts."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
