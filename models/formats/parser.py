"""Parses a model's output incrementally: thoughts, the answer, and tool calls.

The input may be split anywhere. Text is emitted as soon as it can't be the beginning of a
delimiter; a call is emitted in pieces where its format allows it, and once more when it is
complete. The result doesn't depend on where the input is split.
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from thinkgraph.models.formats.calls import Body, Found, JsonObjects, fault, read_arguments
from thinkgraph.models.formats.format import Channels, ChatFormat
from thinkgraph.models.formats.pieces import JsonPieces, Pieces
from thinkgraph.models.formats.scan import held_back
from thinkgraph.models.model import InvalidToolCall, Tool, ToolCall, ToolCallPiece

Place = Literal["answer", "thought", "call", "header", "between"]
BARE = re.compile(r"\s*(?:\{|\[\s*\{|```)")
"""The beginning of an answer that may be a call without delimiters."""
BARE_BODY = JsonObjects()
ID_LETTERS = string.ascii_letters + string.digits
ID_LENGTH = 9
"""Length of a call's id; Mistral's templates accept no other."""


def call_id() -> str:
    """A new random id of a call."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))


@dataclass
class Said:
    """The output parsed since the last time it was taken."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    pieces: dict[int, ToolCallPiece] = field(default_factory=dict)
    """New pieces of calls, by the call's index."""

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.tool_calls or self.pieces)

    def add_piece(self, piece: ToolCallPiece) -> None:
        """Add a new piece of a call."""
        if known := self.pieces.get(piece.index):
            more = {"arguments": known.arguments + piece.arguments}
            piece = known.model_copy(update=more)
        self.pieces[piece.index] = piece

    def add_calls(self, said: Said) -> None:
        """Add another object's calls and pieces of calls."""
        self.tool_calls += said.tool_calls
        for piece in said.pieces.values():
            self.add_piece(piece)


@dataclass
class _Told:
    """A call of which pieces have been emitted."""

    index: int
    id: str
    name: str
    arguments: str = ""


class ResponseParser:
    """Parses one completion while it is generated.

    Args:
        format: the model's format.
        tools: the tools that the model may call; without tools, calls are not parsed.
        place: where in a turn the completion begins; see :class:`.template.Rendered`.
        begun: whether the beginning of the answer precedes the completion. White space is kept
            then.
        checked: whether a call without delimiters is invalid if it doesn't match its schema;
            decoding may not have constrained it.

    Attributes:
        text: the answer so far.
        reasoning: the thought so far.
        tool_calls: the calls so far that name a tool and have arguments.
        invalid_tool_calls: texts in place of a call that are not a valid one.
        thought_ended: whether a thought has ended.
    """

    def __init__(
        self,
        format: ChatFormat,
        tools: Sequence[Tool] = (),
        *,
        place: Place = "answer",
        begun: bool = False,
        checked: bool = False,
    ) -> None:
        self._format = format
        self._tools = {tool.name: tool for tool in tools}
        self._place: Place = place
        self._begun = begun
        self._checked = checked
        self._cut = False  # white space that follows a thought or a call is dropped
        self._rest = ""  # not yet classified
        self._space = ""  # white space that is dropped if a delimiter follows
        self._body = ""  # of the current header or call
        self._name = ""  # of the tool, if a header gave it
        self._bare = False
        self._pieces: Pieces | None = None  # streams the current call
        self._told: list[_Told] = []  # of the current body
        self._calls = 0  # emitted, as a whole or in pieces
        self._said = Said()
        self.thought_ended = False
        self.text = self.reasoning = ""
        self.tool_calls: list[ToolCall] = []
        self.invalid_tool_calls: list[InvalidToolCall] = []

    @property
    def thought_end(self) -> str:
        """The delimiter that ends a thought; empty if there is none."""
        return self._format.thought.end.strip() if self._format.thought else ""

    @property
    def thinks(self) -> bool:
        """Whether the next text belongs to a thought."""
        return self._place == "thought"

    def feed(self, text: str) -> None:
        """Parse more text of the completion."""
        self._rest += text
        while self._step(final=False):
            pass

    def close(self) -> None:
        """Parse what is left, once the completion has ended."""
        while self._step(final=True):
            pass
        if self._place == "call":
            if self._format.channels:
                self._end_message()
            elif self._bare:
                self._end_bare()
            elif self._is_cut and self._body.strip():
                self._refuse(self._body, "the call has no end")
            else:
                self._end_call()
        if self._place == "answer" and not self.tool_calls and not self.invalid_tool_calls:
            self._write(self._space)
        self._space = ""

    def take(self) -> Said:
        """Return the output parsed since the last call."""
        said, self._said = self._said, Said()
        return said

    @property
    def _is_cut(self) -> bool:
        """Whether a call without its end delimiter is incomplete, whatever its text."""
        calls = self._format.calls
        return bool(calls and calls.end.strip() and not calls.body.shows_end)

    # ---- one step: up to the next delimiter ----

    def _step(self, *, final: bool) -> bool:
        """Consume the text up to and including the next delimiter; False if there is none."""
        if not self._rest:
            return False
        if self._may_be_bare(final):
            return False
        delimiters = self._delimiters()
        found = _first(self._rest, delimiters)
        if found is None:
            keep = 0 if final else held_back(self._rest, list(delimiters))
            end = len(self._rest) - keep
            self._take(self._rest[:end])
            self._rest = self._rest[end:]
            return False
        at, delimiter = found
        if not final and self._could_be_longer(at, delimiter, delimiters):
            self._take(self._rest[:at])
            self._rest = self._rest[at:]
            return False
        self._take(self._rest[:at])
        self._rest = self._rest[at + len(delimiter) :]
        if delimiters[delimiter] in (self._begin_thought, self._begin_answer) and self._begun:
            self._take(delimiter)  # once the answer has begun, it is part of it
        else:
            delimiters[delimiter]()
        return True

    def _could_be_longer(self, at: int, delimiter: str, among: Iterable[str]) -> bool:
        rest = self._rest[at:]
        return any(len(d) > len(rest) and d.startswith(rest) for d in among if d != delimiter)

    def _may_be_bare(self, final: bool) -> bool:
        """Begin a call without delimiters; True if it is not yet clear whether the text is one."""
        if self._place != "answer" or not self._tools or self._begun or self._format.channels:
            return False
        begins = bool(BARE.match(self._rest))
        if begins:
            self._place, self._bare = "call", True
            self._follow(None)  # not streamed: it may be the answer after all
            return False
        stripped = self._rest.lstrip()
        unclear = stripped in ("", "[", "`", "``") or re.fullmatch(r"\[\s*", stripped)
        return bool(unclear) and not final

    def _delimiters(self) -> dict[str, Callable[[], None]]:
        form, place = self._format, self._place
        found: dict[str, Callable[[], None]] = {}
        if form.channels:
            return self._channel_delimiters(form.channels)
        if place == "thought" and form.thought:
            return {form.thought.end.strip(): self._end_thought}
        if place == "call":
            if self._bare or not form.calls:
                return {}
            if form.calls.end.strip():
                found[form.calls.end.strip()] = self._end_call
            else:
                found[form.calls.begin.strip()] = self._next_call
            return found
        if form.thought and not self._begun:
            found[form.thought.begin.strip()] = self._begin_thought
            found[form.thought.end.strip()] = self._begin_answer
        found |= dict.fromkeys(form.around, self._drop)
        if self._tools and form.calls:
            found |= dict.fromkeys(form.calls.around, self._drop)
            begin = form.calls.begin.strip()
            for wrap in form.calls.around:
                begin = begin.removeprefix(wrap)
            found[begin] = self._begin_call
        return found

    def _channel_delimiters(self, channels: Channels) -> dict[str, Callable[[], None]]:
        if self._place == "header":
            found = dict.fromkeys(channels.begins, self._continue_header)
            return found | {channels.header_end: self._end_header}
        found = dict.fromkeys(channels.begins, self._begin_header)
        return found | dict.fromkeys(channels.ends, self._end_message)

    # ---- delimiters ----

    def _drop(self) -> None:
        self._cut = True

    def _begin_thought(self) -> None:
        self._space = ""
        self._place, self._cut = "thought", True

    def _end_thought(self) -> None:
        self._space = ""
        self.thought_ended = True
        self._place, self._cut = "answer", True

    def _begin_answer(self) -> None:
        """Drop the end of a thought that was empty, or begun by the prompt."""
        self._cut = True

    def _begin_call(self) -> None:
        self._space = ""
        self._place, self._body = "call", ""
        if calls := self._format.calls:
            self._follow(calls.body.pieces(self._tools))

    def _next_call(self) -> None:
        self._end_call()
        self._begin_call()

    def _end_call(self) -> None:
        form = self._format
        body: Body | None = form.calls.body if form.calls else None
        if self._body.strip() and body is not None:
            self._read(body, self._body)
        self._body = ""
        self._place, self._cut, self._begun = "answer", True, False

    def _end_bare(self) -> None:
        """End a call without delimiters; text that calls no given tool is the answer."""
        body, self._body, self._place = self._body, "", "answer"
        own = self._format.calls.body if self._format.calls else BARE_BODY
        for reader in (own, BARE_BODY):
            try:
                found = reader.read(body, self._tools)
            except ValueError:
                continue
            if found and all(call.name in self._tools for call in found):
                self._end_unheld(found, body)
                return
        self._answer(body)

    def _end_unheld(self, calls: Sequence[Found], text: str) -> None:
        if self._checked:
            for call in calls:
                if wrong := fault(call.arguments, self._tools[call.name]):
                    self._refuse(text, wrong)
                    return
        self._end_calls(calls, text)

    def _begin_header(self) -> None:
        self._end_message()
        self._place, self._body = "header", ""

    def _continue_header(self) -> None:
        self._body += " "

    def _end_header(self) -> None:
        channels = self._format.channels
        header, self._body = self._body, ""
        if channels is None:
            return
        self._cut = True
        if call := re.search(channels.call, header.strip()):
            self._place, self._name = "call", call["name"]
            body = channels.body
            self._follow(body.pieces(self._tools) if body else JsonPieces(name=self._name))
            self._tell()
        else:
            thought = re.search(channels.thought, header)
            self._place = "thought" if thought else "answer"

    def _end_message(self) -> None:
        body = self._format.channels.body if self._format.channels else None
        if self._place == "call" and body:
            self._read(body, self._body)
        elif self._place == "call":
            self._read_arguments(self._name, self._body)
        self._body = self._space = ""
        self._place = "between"

    # ---- text between delimiters ----

    def _take(self, text: str) -> None:
        if not text:
            return
        match self._place:
            case "answer":
                self._answer(text)
            case "thought":
                self._think(text)
            case "call" | "header":
                self._body += text
                if self._pieces and self._place == "call":
                    self._pieces.feed(text)
                    self._tell()
            case "between":
                pass

    def _answer(self, text: str) -> None:
        text = self._space + text
        if self._cut:
            text = text.lstrip()
        shown = text.rstrip() if self._tools or self._format.around else text
        self._space = text[len(shown) :]
        self._write(shown)

    def _write(self, text: str) -> None:
        if text:
            self._cut = False
            self._begun = self._begun or not text.isspace()
            self.text += text
            self._said.text += text

    def _think(self, text: str) -> None:
        text = self._space + text
        if self._cut:
            text = text.lstrip()
        shown = text.rstrip()
        self._space = text[len(shown) :]
        if shown:
            self._cut = False
            self.reasoning += shown
            self._said.reasoning += shown

    # ---- calls ----

    def _read(self, body: Body, text: str) -> None:
        try:
            found = body.read(text, self._tools)
        except ValueError as error:
            self._refuse(text, str(error))
            return
        self._end_calls(found, text)

    def _read_arguments(self, name: str, text: str) -> None:
        """Read the arguments of a call whose header has named the tool."""
        try:
            arguments = read_arguments(text)
        except ValueError as error:
            self._refuse(f"{name} {text}", str(error))
            return
        self._end_calls([Found(name, arguments)], text)

    def _refuse(self, text: str, error: str) -> None:
        """Record a text in place of a call as an invalid call."""
        told, self._told = self._told, []
        whole = InvalidToolCall(text=text.strip(), error=error)
        begun = [whole.model_copy(update={"index": call.index}) for call in told]
        self.invalid_tool_calls += begun or [whole]

    # ---- streaming of calls ----

    def _follow(self, pieces: Pieces | None) -> None:
        self._pieces, self._told = pieces, []

    def _tell(self) -> None:
        """Emit the new pieces of the current calls."""
        for number, call in enumerate(self._pieces.calls if self._pieces else ()):
            if number == len(self._told):
                self._begin_telling(call.name)
            told = self._told[number]
            self._tell_arguments(told, call.arguments[len(told.arguments) :])

    def _begin_telling(self, name: str) -> _Told:
        told = _Told(self._calls, call_id(), name)
        self._calls += 1
        self._told.append(told)
        self._said.add_piece(ToolCallPiece(index=told.index, id=told.id, name=name))
        return told

    def _tell_arguments(self, told: _Told, text: str) -> None:
        if text:
            told.arguments += text
            piece = ToolCallPiece(index=told.index, id=told.id, arguments=text)
            self._said.add_piece(piece)

    def _end_calls(self, calls: Sequence[Found], text: str) -> None:
        """Complete the calls of a body: emit the pieces that are left, and the whole calls."""
        if self._pieces:
            self._pieces.close()
            self._tell()
        if len(self._told) > len(calls) or not all(map(_agrees, self._told, calls)):
            self._refuse(text, "a call can be read in two ways")
            return
        for number, call in enumerate(calls):
            told = (
                self._told[number] if number < len(self._told) else self._begin_telling(call.name)
            )
            if not told.arguments:
                self._tell_arguments(told, json.dumps(call.arguments))
            whole = ToolCall(name=call.name, arguments=call.arguments, id=told.id)
            self.tool_calls.append(whole)
            self._said.tool_calls.append(whole)
        self._follow(None)


def _agrees(told: _Told, found: Found) -> bool:
    """Whether the emitted pieces of a call agree with the whole call."""
    if told.name != found.name:
        return False
    return not told.arguments or json.dumps(json.loads(told.arguments)) == json.dumps(
        found.arguments
    )


def _first(text: str, delimiters: Iterable[str]) -> tuple[int, str] | None:
    """The position and text of the first delimiter; the longest if several begin there."""
    found = [(at, -len(d), d) for d in delimiters if (at := text.find(d)) >= 0]
    return (min(found)[0], min(found)[2]) if found else None
