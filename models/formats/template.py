"""The chat template of a GGUF file: from messages to the prompt text of the model.

A template comes from a file that anybody may have written, and a message from a user, so
neither is trusted: the template runs in Jinja's immutable sandbox with its output bounded, and
text in a message that spells a control token stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Never

import jinja2

from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.sandbox import Sandbox
from thinkgraph.models.model import Message, parted

MAX_TEXT = 1 << 20  # characters a template may write beyond those of the messages

FALLBACK = (
    "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}\n\n{% endfor %}Assistant:"
)


class Piece(NamedTuple):
    """Text to tokenize; where ``special`` is false, control tokens in it are mere text."""

    text: str
    special: bool


class ChatTemplate:
    """A chat template, ready to render.

    Args:
        source: the Jinja text of the GGUF's ``tokenizer.chat_template``. None is a model
            without one, which gets plain turns: ``System: …``, ``User: …`` and
            ``Assistant: …`` with an empty line between, ending in ``Assistant:``.
        bos: text of the token that begins a sequence, which a template may write.
        eos: text of the token that ends one.
        special_tokens: spellings of the vocabulary's control tokens, which a message can't
            spell to forge a turn. ``bos`` and ``eos`` always belong to them.

    Raises:
        ModelError: the template is not valid Jinja.
    """

    def __init__(
        self,
        source: str | None,
        bos: str = "",
        eos: str = "",
        special_tokens: Collection[str] = (),
    ) -> None:
        self._bos, self._eos = bos, eos
        self._gap = " " if source is None else ""
        self._specials = sorted({bos, eos, *special_tokens} - {""}, key=len, reverse=True)
        self._sandbox = _environment()
        try:
            self._template = self._sandbox.from_string(FALLBACK if source is None else source)
        except Exception as error:  # the compiler meets any text, and fails in many ways
            raise ModelError(f"the model's chat template is not valid: {_reason(error)}") from error

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The prompt that asks for the assistant's next message.

        Normally one piece. Where a message spells a control token, that spelling is a piece
        of its own with ``special`` false; no other border of a message splits the text, so
        it is tokenized as in training. A template that has no system turn, or wants the
        roles to alternate, gets the system's text at the head of the first user message and
        neighbours of one role as one message.

        Args:
            messages: the conversation so far. What the assistant says at its end is put after
                the generation prompt, to be gone on from; there is a message before that.

        Raises:
            ModelError: the template refuses the messages, fails, or writes too much.
        """
        turns, begun = parted(messages)
        if not turns:
            raise ModelError("there is no message to put to the model; give at least one")
        guard = _Guard(self._specials, [m.content for m in messages])
        hidden = [m.model_copy(update={"content": guard.hide(m.content)}) for m in turns]
        text = self._render_or_fold(hidden)
        if begun:
            text += self._gap + guard.hide(begun)
        return list(guard.reveal(text))

    def _render_or_fold(self, messages: Sequence[Message]) -> str:
        try:
            text = self._render(messages)
            if all(m.content.strip() in text for m in messages if m.role == "system"):
                return text
        except ModelError:
            if (folded := _fold(messages)) == list(messages):
                raise
            return self._render(folded)
        return self._render(_fold(messages))

    def _render(self, messages: Sequence[Message]) -> str:
        variables = {
            "messages": [m.model_dump() for m in messages],
            "add_generation_prompt": True,
            "bos_token": self._bos,
            "eos_token": self._eos,
        }
        try:
            text = self._sandbox.render(self._template, variables)
        except Exception as error:  # a template can fail in any way that Python can
            raise ModelError(f"the model's chat template failed: {_reason(error)}") from error
        if len(text) > MAX_TEXT + sum(len(m.content) for m in messages):
            raise ModelError(f"the model's chat template wrote over {MAX_TEXT} characters")
        return text


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
        if merged and merged[-1].role == turn.role:
            content = f"{merged.pop().content}\n\n{turn.content}"
            merged.append(Message(role=turn.role, content=content))
        else:
            merged.append(turn)
    return merged


class _Guard:
    """Carries spellings of control tokens through a template as characters nobody wrote."""

    def __init__(self, specials: Sequence[str], texts: Sequence[str]) -> None:
        self._specials = re.compile("|".join(map(re.escape, specials)) or r"(?!)")
        found = {match[0] for text in texts for match in self._specials.finditer(text)}
        taken = set().union(*texts)
        private = (chr(c) for c in range(0x100000, 0x10FFFE) if chr(c) not in taken)
        self._sentinels = dict(zip(sorted(found), private, strict=False))
        self._spellings = {sentinel: text for text, sentinel in self._sentinels.items()}

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
