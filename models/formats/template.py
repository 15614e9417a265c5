"""The chat template of a GGUF file: from messages to the prompt text of the model.

A template comes from a file that anybody may have written, and a message from a user, so
neither is trusted: the template runs in Jinja's immutable sandbox with its output bounded, and
text in a message that spells a control token stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple, Never, TypeVar

import jinja2
from jinja2 import meta

from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.format import HERMES, ChatFormat, Thought, format_of
from thinkgraph.models.formats.parser import Place
from thinkgraph.models.formats.sandbox import Sandbox
from thinkgraph.models.formats.tools import described, in_words
from thinkgraph.models.model import Message, Tool, ToolCall, parted

MAX_TEXT = 1 << 20  # characters a template may write beyond those of the messages

Told = TypeVar("Told", Message, Tool)

SWITCHES = ("enable_thinking", "thinking")
"""Template variables that turn thinking on or off."""

REASONING = ("reasoning_content", "thinking")
"""Names under which templates read a message's thought."""

MARK = "\U0010fffe"
"""A placeholder answer, to find out what a template writes before an answer."""

THOUGHT_HEADER = "<|channel|>analysis<|message|>"

FALLBACK = (
    "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}\n\n{% endfor %}Assistant:"
)


class Piece(NamedTuple):
    """Text to tokenize; if ``special`` is false, control tokens in it are plain text."""

    text: str
    special: bool


class Rendered(NamedTuple):
    """A prompt, and where in the assistant's turn it ends."""

    pieces: list[Piece]
    place: Place
    """What follows the prompt: the answer, a thought, or the header of a message."""
    begun: bool
    """Whether the prompt contains the beginning of the answer."""


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: the Jinja text of the GGUF's ``tokenizer.chat_template``. None is a model
            without one, which gets plain turns: ``System: …``, ``User: …`` and
            ``Assistant: …``, separated by empty lines and ending in ``Assistant:``.
        bos: text of the BOS token, which a template may write.
        eos: text of the EOS token, which a template may write.
        special_tokens: spellings of the vocabulary's control tokens, which stay plain text in
            messages so that these can't forge a turn. ``bos`` and ``eos`` are always included.
        variables: variables of the template for all prompts: ``enable_thinking``,
            ``reasoning_effort`` and others. ``strftime_now`` pins the date, in ISO 8601.
        format: the model's format; None derives it from the template.

    Attributes:
        format: the model's format.
        knows_tools: whether the template shows tools to the model; if not, they are described
            in words.

    Raises:
        ModelError: the template is not valid Jinja.
    """

    def __init__(
        self,
        source: str | None,
        bos: str = "",
        eos: str = "",
        special_tokens: Collection[str] = (),
        *,
        variables: Mapping[str, Any] | None = None,
        format: ChatFormat | None = None,
    ) -> None:
        self._bos, self._eos = bos, eos
        self._specials = sorted({bos, eos, *special_tokens} - {""}, key=len, reverse=True)
        self._variables = dict(variables or {})
        self._sandbox = _environment()
        text = FALLBACK if source is None else source
        try:
            self._template = self._sandbox.from_string(text)
            self._names = meta.find_undeclared_variables(self._sandbox.parse(text))
        except Exception as error:  # the compiler meets any text, and fails in many ways
            raise ModelError(f"the model's chat template is not valid: {_reason(error)}") from error
        self._source = text
        self.format = format or format_of(source)
        self.knows_tools = "tools" in self._names and self.format.tells_tools
        if not self.knows_tools:  # the description in words asks for this form
            self.format = replace(self.format, calls=HERMES)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        variables: Mapping[str, Any] | None = None,
        *,
        thinks: bool = False,
    ) -> Rendered:
        """Render the prompt for the assistant's next message.

        The prompt is normally one piece. A control token that a message spells is a piece of its
        own with ``special`` false; nothing else splits the text, so it is tokenized as in training.
        If the template has no system turn, or requires alternating roles, the system text goes in
        front of the first user message, and adjacent messages of one role are merged.

        The beginning of an answer goes where the template puts answers: after a closed thought,
        and after the header that the template writes. A thought that has begun (``reasoning``
        without ``content``) is continued.

        Args:
            messages: the conversation so far. An assistant message at its end is put after the
                generation prompt, to be continued; at least one message must precede it.
            tools: what the model may call.
            variables: variables of the template, which override those of the constructor.
            thinks: open the thought of a model that would think, so that the beginning of its
                answer is known.

        Raises:
            ModelError: the template refuses the messages, fails, or writes too much.
        """
        turns, begun = parted(messages)
        if not turns:
            raise ModelError("there is no message to put to the model; give at least one")
        thought = messages[-1].reasoning if len(turns) < len(messages) else ""
        if not self.knows_tools:
            turns = in_words(turns, tools, self.format)
            tools = ()
        guard = _Guard(self._specials, list(_texts([*messages, *turns, *tools])))
        hidden = [guard.hidden(turn) for turn in turns]
        tools = [guard.hidden(tool) for tool in tools]
        known = {**self._variables, **(variables or {})}
        marks = self.format.thought
        opens = marks and begun.lstrip().startswith(marks.begin.strip())
        if begun and not opens:
            known |= self._silent
        text = self._render_or_fold(hidden, tools, known)
        place = self._place(text)
        if begun or thought:
            opening = self._opening(
                text, hidden, tools, known, thought=thought, answers=bool(begun)
            )
            text += opening + guard.hide(begun)
            place = "answer" if begun else "thought"
        elif known.get("enable_thinking") is False and marks:
            if place == "thought" or self._thinks_unasked:
                text += ("" if place == "thought" else self._opened) + _closed(marks)
                place = "answer"
        elif thinks and place == "answer" and self._would_think(text, hidden, tools, known):
            text += self._opened
            place = "thought"
        return Rendered(list(guard.reveal(text)), place, bool(begun))

    @property
    def _silent(self) -> dict[str, bool]:
        """The template variables that turn thinking off."""
        return {name: False for name in SWITCHES if name in self._names}

    def _opening(
        self,
        text: str,
        turns: Sequence[Message],
        tools: Sequence[Tool],
        variables: Mapping[str, Any],
        *,
        thought: str,
        answers: bool,
    ) -> str:
        """The text between the generation prompt and the beginning of the answer."""
        form = self.format
        if form.channels:
            if not answers:
                return f"{THOUGHT_HEADER}{thought}"
            said = f"{THOUGHT_HEADER}{thought}<|end|><|start|>assistant" if thought else ""
            return said + form.channels.answer
        marks = form.thought
        opened = self._place(text) == "thought"
        if marks and thought:
            begun = ("" if opened else marks.opened or marks.begin) + thought
            return begun + (_closed(marks) if answers else "")
        if marks and opened:
            return _closed(marks)
        header = self._header(text, turns, tools, variables)
        if marks and not header and self._thinks_unasked:
            return (marks.opened or marks.begin) + _closed(marks)
        return header

    @property
    def _thinks_unasked(self) -> bool:
        """Whether the model thinks though its template neither opens a thought nor has a switch."""
        marks = self.format.thought
        told = self._names & {*SWITCHES, "reasoning_effort"}
        if marks is None or told or marks.begin == "[THINK]":  # a system prompt requests it
            return False
        return marks.end in self._source

    def answer_after(self, prompt: Rendered) -> str | None:
        """The text after which the answer to a prompt begins; None if it begins at once."""
        if self.format.channels and prompt.place == "header":
            return self.format.channels.answer
        marks = self.format.thought
        return marks.end if marks and prompt.place == "thought" else None

    @property
    def _opened(self) -> str:
        marks = self.format.thought
        return (marks.opened or marks.begin) if marks else ""

    def _would_think(
        self,
        text: str,
        turns: Sequence[Message],
        tools: Sequence[Tool],
        variables: Mapping[str, Any],
    ) -> bool:
        """Whether the model begins a thought by itself after this prompt."""
        if self._names.isdisjoint(SWITCHES):
            return self._thinks_unasked
        return self._render_or_fold(turns, tools, {**variables, **self._silent}) != text

    def _header(
        self,
        text: str,
        turns: Sequence[Message],
        tools: Sequence[Tool],
        variables: Mapping[str, Any],
    ) -> str:
        """What the template writes before an answer in addition to its generation prompt."""
        answer = Message(role="assistant", content=MARK)
        try:
            whole = self._render(
                [*turns, answer], tools, {**variables, "add_generation_prompt": False}
            )
        except ModelError:
            return ""
        head, found, _ = whole.rpartition(MARK)
        return head[len(text) :] if found and head.startswith(text) else ""

    def _place(self, text: str) -> Place:
        """The place in the assistant's turn where a prompt ends."""
        if self.format.channels:
            return "header"
        marks = self.format.thought
        return "thought" if marks and text.rstrip().endswith(marks.begin.strip()) else "answer"

    def _render_or_fold(
        self, messages: Sequence[Message], tools: Sequence[Tool], variables: Mapping[str, Any]
    ) -> str:
        try:
            text = self._render(messages, tools, variables)
            if all(m.content.strip() in text for m in messages if m.role == "system"):
                return text
        except ModelError:
            if (folded := _fold(messages)) == list(messages):
                raise
            return self._render(folded, tools, variables)
        return self._render(_fold(messages), tools, variables)

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Tool], variables: Mapping[str, Any]
    ) -> str:
        """Render with the first form of tool calls that the template accepts."""
        calls = any(message.tool_calls for message in messages)
        shown = [described(tool) for tool in tools]
        # transformers passes None for missing values; some templates fail at that.
        given = [{"tools": shown or None, "documents": None}, {"tools": shown} if shown else {}]
        failure: ModelError | None = None
        for form, rest in product(CALL_FORMS if calls else CALL_FORMS[:1], given):
            filled = [form.variables(message) for message in messages]
            try:
                return self._filled(filled, {**rest, **variables})
            except ModelError as error:
                failure = failure or error
        raise failure or AssertionError("there is no form of tool calls")

    def _filled(
        self,
        messages: list[dict[str, Any]],
        variables: Mapping[str, Any],
    ) -> str:
        now = variables.get("strftime_now")
        given = {
            "messages": messages,
            "add_generation_prompt": True,
            "bos_token": self._bos,
            "eos_token": self._eos,
            **variables,
            **({"strftime_now": _pinned(now)} if isinstance(now, str) else {}),
        }
        try:
            text = self._sandbox.render(self._template, given)
        except Exception as error:  # a template can fail in any way that Python can
            raise ModelError(f"the model's chat template failed: {_reason(error)}") from error
        if len(text) > MAX_TEXT + sum(len(text) for m in messages for text in _strings(m)):
            raise ModelError(f"the model's chat template wrote over {MAX_TEXT} characters")
        return text


class _CallForm(NamedTuple):
    """One of the forms in which templates expect an assistant's calls."""

    content: str | None
    """The content of a message that consists of calls alone."""
    as_text: bool
    """Whether arguments are JSON text."""
    thinks: bool = True
    """Whether a message with calls may have a thought beside its content."""

    def variables(self, message: Message) -> dict[str, Any]:
        """A message as a template's variable, without the fields that it lacks."""
        data: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.reasoning:
            data |= dict.fromkeys(REASONING, message.reasoning)
        if message.tool_calls:
            data["content"] = message.content or self.content
            data["tool_calls"] = [self._call(call) for call in message.tool_calls]
            if message.reasoning and not self.thinks:
                data["content"] = None
        if message.role == "tool":
            data["tool_call_id"] = message.tool_call_id
        if message.name:
            data["name"] = message.name
        return data

    def _call(self, call: ToolCall) -> dict[str, Any]:
        arguments = (
            json.dumps(call.arguments, ensure_ascii=False) if self.as_text else call.arguments
        )
        function = {"name": call.name, "arguments": arguments}
        return {"type": "function", "id": call.id, "function": function}


CALL_FORMS = (
    _CallForm("", as_text=False),
    _CallForm(None, as_text=False, thinks=False),
    _CallForm(None, as_text=True, thinks=False),
    _CallForm("", as_text=True),
)


def _closed(marks: Thought) -> str:
    return marks.closed or marks.end


def _pinned(now: str) -> Callable[[str], str]:
    try:
        moment = datetime.fromisoformat(now)
    except ValueError:
        raise ModelError(
            f"the template's variable strftime_now is {now!r}; give a date such as 2026-01-31"
        ) from None
    return moment.strftime


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for part in (*value.keys(), *value.values()):
                yield from _strings(part)
        case list() | tuple():
            for part in value:
                yield from _strings(part)


def _texts(told: Sequence[Message | Tool]) -> Iterator[str]:
    """All text that a user, a model or a tool may have written."""
    for one in told:
        yield from _strings(one.model_dump())


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _fold(messages: Sequence[Message]) -> list[Message]:
    """The same conversation with no system turn and with alternating roles."""
    system = [m.content for m in messages if m.role == "system"]
    turns = [m for m in messages if m.role != "system"]
    if system:
        first = next((i for i, m in enumerate(turns) if m.role == "user"), 0)
        turns.insert(first, Message(role="user", content="\n\n".join(system)))
    merged: list[Message] = []
    for turn in turns:
        alike = merged and merged[-1].role == turn.role and turn.role != "tool"
        if alike and not (turn.tool_calls or merged[-1].tool_calls):
            content = f"{merged.pop().content}\n\n{turn.content}"
            merged.append(Message(role=turn.role, content=content))
        else:
            merged.append(turn)
    return merged


class _Guard:
    """Carries spellings of control tokens through a template as otherwise unused characters."""

    def __init__(self, specials: Sequence[str], texts: Sequence[str]) -> None:
        self._specials = re.compile("|".join(map(re.escape, specials)) or r"(?!)")
        found = {match[0] for text in texts for match in self._specials.finditer(text)}
        taken = set().union(*texts)
        private = (chr(c) for c in range(0x100000, 0x10FFFE) if chr(c) not in taken)
        self._sentinels = dict(zip(sorted(found), private, strict=False))
        self._spellings = {sentinel: text for text, sentinel in self._sentinels.items()}

    def hidden(self, told: Told) -> Told:
        """A message or a tool with its spellings of control tokens replaced."""
        if not self._spellings:
            return told
        return type(told).model_validate(self._hide_all(told.model_dump()))

    def _hide_all(self, value: Any) -> Any:
        match value:
            case str():
                return self.hide(value)
            case dict():
                return {self._hide_all(key): self._hide_all(part) for key, part in value.items()}
            case list() | tuple():
                return [self._hide_all(part) for part in value]
            case _:
                return value

    def hide(self, text: str) -> str:
        return self._specials.sub(lambda match: self._sentinels[match[0]], text)

    def reveal(self, text: str) -> Iterator[Piece]:
        if not self._spellings:
            yield Piece(text, special=True)
            return
        for part in re.split(f"([{''.join(self._spellings)}])", text):
            if part:
                yield Piece(self._spellings.get(part, part), special=part not in self._spellings)


def _environment() -> Sandbox:
    environment = Sandbox()
    environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
    environment.add_filter("tojson", _to_json)
    return environment


def _raise(message: str) -> Never:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """JSON as transformers writes it in templates: letters stay, HTML is not escaped."""
    return json.dumps(value, **{"ensure_ascii": False, "indent": indent} | options)
