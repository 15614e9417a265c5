"""The syntaxes in which models write tool calls.

Each syntax is a class with three methods: ``read`` parses the calls in the text between a call's
delimiters, ``pieces`` streams them while they are written, and ``held`` gives the constraints that
enforce the tools' JSON schemas during decoding.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, ClassVar, NamedTuple, Protocol

from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.pieces import JsonPieces, Pieces, TagPieces
from thinkgraph.models.formats.values import read_value
from thinkgraph.models.model import Tagged, Tool, Written
from thinkgraph.models.schemas import mismatch

QUOTED = r'(?P<name>"(?:[^"\\]|\\.)*")'
MAX_TEXT = 1 << 18
"""Maximum characters of one call; a longer one is invalid."""


class Found(NamedTuple):
    """A parsed call: the tool's name and the arguments."""

    name: str
    arguments: dict[str, Any]


class Body(Protocol):
    """The syntax of the text between the delimiters of a call."""

    shows_end: ClassVar[bool]
    """Whether the text itself shows that it is truncated."""

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the calls in ``text``.

        Raises:
            ValueError: the text is not a call; the message says why.
        """
        ...

    def pieces(self, tools: Mapping[str, Tool]) -> Pieces | None:
        """A reader of calls while they are written; None if only whole calls can be read."""
        ...

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """The tagged parts that constrain calls of these tools to their schemas."""
        ...


@dataclass(frozen=True)
class JsonObjects:
    """One or several JSON objects, each with a tool's name and its arguments."""

    shows_end: ClassVar[bool] = True
    name: str = "name"
    arguments: str = "arguments"
    listed: bool = False
    """Whether a model writes them as a list."""

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the objects in ``text``, or in the list in it."""
        return [self._found(value) for value in _values(text)]

    def pieces(self, tools: Mapping[str, Tool]) -> Pieces:
        """A reader of calls that give the name before the arguments, as prompts request."""
        call = rf'\{{\s*"{self.name}"\s*:\s*{QUOTED}\s*,\s*"{self.arguments}"\s*:\s*'
        return JsonPieces(rf"(?:\s*```(?:json)?)?\s*\[?\s*{call}", rf"\s*\}}\s*[,;]?\s*{call}")

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """One tagged part for all tools, whose schema tells the calls apart by name."""
        calls = [self._schema(tool) for tool in tools]
        one = calls[0] if len(calls) == 1 else {"anyOf": calls}
        if not self.listed:
            return [_tagged(begin, one, end)]
        many = {"type": "array", "items": one, "minItems": 1}
        return [_tagged(begin, many if parallel else {**many, "maxItems": 1}, end)]

    def _schema(self, tool: Tool) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {self.name: {"const": tool.name}, self.arguments: tool.parameters},
            "required": [self.name, self.arguments],
            "additionalProperties": False,
        }

    def _found(self, value: Any) -> Found:
        if not isinstance(value, dict):
            raise ValueError("a call is not a JSON object")
        if isinstance(value.get("function"), dict):  # as in OpenAI's API
            value = value["function"]
        name = next((value[k] for k in (self.name, "name", "tool_name") if k in value), None)
        keys = (self.arguments, "arguments", "parameters")
        arguments: Any = next((value[key] for key in keys if key in value), {})
        if not isinstance(name, str) or not name:
            raise ValueError(f"a call has no {self.name!r}")
        return Found(name, _object(arguments))


@dataclass(frozen=True)
class NamedJson:
    """The tool's name, a separator, and the arguments as JSON."""

    shows_end: ClassVar[bool] = True
    separator: str
    """What the model writes between them."""
    before: str = ""
    """What the model writes before the name."""
    pattern: str = r"(?:functions[.])?(?P<name>[\w.\-]+?)(?::\d+)?"
    """A pattern of the name, with parts that don't belong to it."""
    after: str = ""
    """What the model writes after the arguments."""

    @property
    def _head(self) -> str:
        """A pattern of the text before the arguments."""
        separator = r"\s*".join(map(re.escape, self.separator.split())) or r"\s*"
        return rf"\s*(?:{re.escape(self.before)})?\s*{self.pattern}\s*{separator}\s*"

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the single call in ``text``."""
        whole = re.match(rf"{self._head}(?=[{{\[\"]|$)", text[:1000])
        if not whole:
            raise ValueError("a call has no name")
        return [Found(whole["name"], read_arguments(text[whole.end() :]))]

    def pieces(self, tools: Mapping[str, Tool]) -> Pieces:
        """A reader of the single call, from the beginning of its arguments."""
        return JsonPieces(rf"{self._head}(?=\{{)")

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """For each tool, its name followed by arguments of its schema."""
        return [
            _tagged(
                f"{begin}{self.before}{tool.name}{self.separator}",
                tool.parameters,
                self.after + end,
            )
            for tool in tools
        ]


@dataclass(frozen=True)
class Keyed:
    """An object, or a list of objects, with the tool's name as the only key."""

    shows_end: ClassVar[bool] = True

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the calls in ``text``."""
        found = []
        for value in _values(text):
            if not isinstance(value, dict):
                raise ValueError("a call is not a JSON object")
            found += [Found(name, _object(arguments)) for name, arguments in value.items()]
        return found

    def pieces(self, tools: Mapping[str, Tool]) -> Pieces:
        """A reader of the calls, each from its name on."""
        call = rf"{QUOTED}\s*:\s*"
        return JsonPieces(rf"\s*\[?\s*\{{\s*{call}", rf"\s*(?:\}}\s*,\s*\{{|,)\s*{call}")

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """One tagged part for all tools: a list of such objects."""
        calls = [
            {
                "type": "object",
                "properties": {tool.name: tool.parameters},
                "required": [tool.name],
                "additionalProperties": False,
            }
            for tool in tools
        ]
        many = {"type": "array", "items": {"anyOf": calls}, "minItems": 1}
        return [_tagged(begin, many if parallel else {**many, "maxItems": 1}, end)]


@dataclass(frozen=True)
class Tags:
    """XML-like tags: one that names the tool, and one for each argument.

    A value is plain text where its schema allows a string, and JSON elsewhere.
    """

    shows_end: ClassVar[bool] = False
    name: str
    """A pattern with the group ``name``; a call's text runs to the next match, or to the end."""
    argument: str
    """A pattern with the groups ``key`` and ``value``."""
    head: str
    """What is written before the arguments, with ``NAME`` for the tool's name."""
    tail: str
    """What is written after the arguments."""
    written: Written
    """How an argument is written."""

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the calls in ``text``."""
        pieces = self.pieces(tools)
        pieces.feed(text)
        pieces.close()
        if not pieces.calls:
            raise ValueError("a call has no name")
        return [Found(call.name, json.loads(call.arguments)) for call in pieces.calls]

    def pieces(self, tools: Mapping[str, Tool]) -> TagPieces:
        """A reader that streams the calls argument by argument."""

        def typed(name: str, key: str, text: str) -> Any:
            root = tools[name].parameters if name in tools else {}
            return read_value(text, (root.get("properties") or {}).get(key, {}), root)

        return TagPieces(self.name, self.argument, typed)

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """For each tool, arguments of its schema written in tags."""
        return [
            Tagged(
                begin=begin + self.head.replace("NAME", tool.name),
                json_schema=tool.parameters,
                end=self.tail + end,
                written=self.written,
                trigger=begin.rstrip(),
            )
            for tool in tools
        ]


@dataclass(frozen=True)
class PythonCalls:
    """A list of Python calls with keyword arguments: ``[add(a=1, b=2)]``."""

    shows_end: ClassVar[bool] = True

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the calls in ``text``; values are literals, and nothing is evaluated."""
        text = text.strip()
        try:
            parsed = ast.parse(text if text.startswith("[") else f"[{text}]", mode="eval").body
            elements = parsed.elts if isinstance(parsed, ast.List) else []
            return [self._found(node) for node in elements]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"it is not a list of calls: {error}") from error

    def pieces(self, tools: Mapping[str, Tool]) -> None:
        """None: Python can only be parsed as a whole."""

    @staticmethod
    def _found(node: ast.expr) -> Found:
        if not isinstance(node, ast.Call) or node.args:
            raise ValueError("a call has arguments without a name")
        arguments = {word.arg: _literal(word.value) for word in node.keywords if word.arg}
        return Found(ast.unparse(node.func), arguments)

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """For each tool, a list of one call with keyword arguments of its schema."""
        if wrong := next((n for t in tools for n in _names(t) if not _is_python(n)), None):
            raise ModelError(
                f"{wrong!r} is not a name in Python, which this model writes calls in; rename it, "
                "or bind the tools with constrained=False"
            )
        return [
            Tagged(
                begin=f"{begin}[{tool.name}(",
                json_schema=tool.parameters,
                end=f")]{end}",
                written=Written(begin="KEY=", end="", separator=", "),
                trigger=begin,
            )
            for tool in tools
        ]


@dataclass(frozen=True)
class BareKeys:
    """``call:NAME{key:VALUE,…}`` with strings between special quotes, as Gemma 4 writes it."""

    shows_end: ClassVar[bool] = True
    quote: str = '<|"|>'

    def read(self, text: str, tools: Mapping[str, Tool]) -> list[Found]:
        """Parse the single call in ``text``."""
        head = re.match(r"\s*call:(?P<name>[\w.\-]+)\s*(?=\{)", text)
        if not head:
            raise ValueError("a call has no name")
        quoted = text[head.end() :].split(self.quote)
        if len(quoted) % 2 == 0:
            raise ValueError("a text in a call has no end")
        plain = [_BARE_KEY.sub(_quoted_key, part) for part in quoted[::2]]
        parts = [plain[0]]
        for said, rest in zip(quoted[1::2], plain[1:], strict=True):
            parts += [json.dumps(said), rest]
        value, _ = _value("".join(parts))
        return [Found(head["name"], _object(value))]

    def pieces(self, tools: Mapping[str, Tool]) -> None:
        """None: a call can only be parsed as a whole."""

    def held(self, begin: str, end: str, tools: Sequence[Tool], parallel: bool) -> list[Tagged]:
        """For each tool, arguments of its schema with bare keys and specially quoted strings."""
        written = Written(
            begin="KEY:",
            end="",
            text_begin=f"KEY:{self.quote}",
            text_end=self.quote,
            separator=",",
        )
        return [
            Tagged(
                begin=f"{begin}call:{tool.name}{{",
                json_schema=tool.parameters,
                end=f"}}{end}",
                written=written,
                trigger=begin,
            )
            for tool in tools
        ]


def _tagged(begin: str, schema: dict[str, Any], end: str) -> Tagged:
    return Tagged(begin=begin, json_schema=schema, end=end)


def read_arguments(text: str) -> dict[str, Any]:
    """Parse a call's arguments from JSON; an empty text is an empty object.

    Raises:
        ValueError: the text is not a JSON object.
    """
    return _object(_value(text.strip() or "{}")[0])


def fault(arguments: dict[str, Any], tool: Tool) -> str | None:
    """How a call's arguments violate the tool's JSON schema; None if they are valid."""
    try:
        wrong = mismatch(arguments, tool.parameters)
    except Exception as error:  # the schema is invalid, or refers to another document
        return f"the tool's schema can't be read: {error}"
    return wrong.message if wrong else None


def fenced(text: str) -> str:
    """The content of a Markdown fence that spans all of ``text``, or the text itself."""
    found = re.fullmatch(r"\s*```(?:json|tool_call|python)?\s*\n(.*?)\n?\s*(?:```\s*)?", text, re.S)
    return found[1] if found else re.sub(r"\n\s*```\s*\Z", "", text)


def _values(text: str) -> Iterator[Any]:
    """The JSON values in a text, one after the other or in a list."""
    rest = fenced(text).strip()
    if not rest:
        raise ValueError("a call is empty")
    while rest:
        doubled = rest.startswith("{{")  # as the template of Qwen2.5-Coder shows it
        value, end = _value(rest[doubled:])
        yield from value if isinstance(value, list) else [value]
        rest = rest[doubled + end :]
        rest = (rest.lstrip("}") if doubled else rest).lstrip(" \t\r\n;,")


def _value(text: str) -> tuple[Any, int]:
    """The JSON value at the beginning of a text, and where it ends."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"a call has more than {MAX_TEXT} characters")
    try:
        return _DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError("a call is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"a call is not JSON: {error}") from error


_DECODER = json.JSONDecoder(strict=False)


def _object(value: Any) -> dict[str, Any]:
    """Arguments as an object; some models encode the object as a JSON string."""
    if isinstance(value, str):
        value, _ = _value(value.strip() or "{}")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("a call's arguments are not a JSON object")
    return value


_BARE_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|([{,]\s*)([\w$.\-]+)\s*:')


def _quoted_key(found: re.Match[str]) -> str:
    return f'{found[1]}"{found[2]}":' if found[2] else found[0]  # a quoted string stays as it is


def _names(tool: Tool) -> Iterator[str]:
    yield tool.name
    yield from tool.parameters.get("properties") or ()


def _is_python(name: str) -> bool:
    return all(part.isidentifier() and not iskeyword(part) for part in name.split("."))


class _JsonNames(ast.NodeTransformer):
    """Replaces JSON's constants by Python's."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = {"true": True, "false": False, "null": None}
        return ast.Constant(known[node.id]) if node.id in known else node


def _literal(node: ast.expr) -> Any:
    return _joined(ast.literal_eval(_JsonNames().visit(node)))


def _joined(value: Any) -> Any:
    """The value with JSON's surrogate pairs, which Python leaves apart, joined to characters."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list() | tuple():
            return [_joined(one) for one in value]
        case dict():
            return {str(key): _joined(one) for key, one in value.items()}
    return value
