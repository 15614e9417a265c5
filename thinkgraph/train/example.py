"""Training examples: a prompt as the engine renders it, and the answer that is trained on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.evaluate.tasks.data import Fault, read_messages
from thinkgraph.evaluate.tasks.field import MISSING, find_fields, known_names, lookup
from thinkgraph.evaluate.tasks.record import Record, read_records
from thinkgraph.evaluate.tasks.table import places
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.model import Message
from thinkgraph.train.errors import TrainError

MOST_HELD_OUT = 64


class Conversation(NamedTuple):
    """Messages, of which the last is the assistant's answer."""

    messages: tuple[Message, ...]
    record: str = ""
    """Where it stands in its file; the turns of one conversation stand at one place."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """What the answer answers."""
        return self.messages[:-1]

    @property
    def key(self) -> str:
        """The same for the same question, however it is spaced, capitalized or instructed."""
        turns = [each for each in self.asked if each.role != "system"]
        text = "\0".join(f"{m.role}\0{m.content}" for m in turns)
        return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


class Example(NamedTuple):
    """One conversation in tokens."""

    prompt: list[int]
    answer: list[int]
    """With the token that ends the turn; the loss is of these alone."""


class Parts(NamedTuple):
    """Conversations to train on, and those that are held out."""

    train: tuple[Conversation, ...]
    held_out: tuple[Conversation, ...]


def read_conversations(path: Path, fields: dict[str, str] | None = None) -> list[Conversation]:
    """The conversations of a data file, one for each of the assistant's messages.

    Args:
        path: a file as a comparison reads it. A record is a question with its whole answer, or
            `messages`.
        fields: the names of the fields for `question`, `answer` and `messages`, where they have
            others than the usual.

    Raises:
        DataError: it can't be read.
        TrainError: a record has no answer, or no question.
    """
    given = fields or {}
    records = read_records(path, known_names() | {name.casefold() for name in given.values()})
    if not records.records:
        raise TrainError(f"{path} is empty: it has nothing to learn")
    first = records.records[0]
    found = find_fields(given, first.values, f"{path}, {first.place}")
    roles = found._asdict()
    conversations: list[Conversation] = []
    empty: list[str] = []
    for record in records.records:
        try:
            read = _conversations(record, roles)
        except Fault as fault:
            raise TrainError(f"{path}, {record.place}: {': '.join(fault.args)}") from None
        conversations += read
        empty += [] if read else [record.place]
    if empty:
        raise TrainError(
            f"{path}: {len(empty)} of {len(records.records)} records have no question or no "
            f"answer: {places(empty)}; fill them in, or remove them"
        )
    return conversations


def _conversations(record: Record, roles: dict[str, str | None]) -> list[Conversation]:
    def text(role: str) -> str:
        name = roles.get(role)
        value: Any = lookup(record.values, name) if name else MISSING
        return "" if value is MISSING or value is None else str(value).strip()

    name = roles.get("messages")
    told: Any = lookup(record.values, name) if name else None
    if any(_is_of_tools(each) for each in told or ()):
        raise Fault("a call of a tool, or its result, can't be trained on", "remove the record")
    messages = read_messages(told)
    if question := text("question"):
        asked = "\n".join(filter(None, (text("context"), question)))
        messages.append(Message(role="user", content=asked))
    if roles.get("answer") and (answer := text("answer")):
        messages.append(Message(role="assistant", content=answer))
    return [
        Conversation(tuple(messages[: number + 1]), record.place)
        for number, message in enumerate(messages)
        if message.role == "assistant" and message.content and number
    ]


def _is_of_tools(message: Any) -> bool:
    return isinstance(message, dict) and (
        bool(message.get("tool_calls")) or message.get("role") in ("tool", "function")
    )


def divide(conversations: Sequence[Conversation], held_out: int | None, seed: int) -> Parts:
    """Cut conversations at random; the same question is never in both parts, nor one record.

    Args:
        conversations: to be cut.
        held_out: questions; None is a tenth of them, and `MOST_HELD_OUT` at most.
        seed: of the choice.

    Raises:
        TrainError: nothing would be left to train on.
    """
    groups = _groups(conversations)
    keys = list(dict.fromkeys(groups))
    random.Random(seed).shuffle(keys)  # noqa: S311 (not for secrets)
    if held_out is None:
        held_out = min(MOST_HELD_OUT, len(keys) // 10)
    if held_out >= len(keys):
        raise TrainError(
            f"{held_out} questions are to be held out and the data has {len(keys)} different "
            "ones; hold out fewer, or add data"
        )
    apart = set(keys[:held_out])
    return Parts(
        tuple(each for each, own in zip(conversations, groups, strict=True) if own not in apart),
        tuple(each for each, own in zip(conversations, groups, strict=True) if own in apart),
    )


def _groups(conversations: Sequence[Conversation]) -> list[str]:
    """A name for each, the same where they share a question or a record (union-find)."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            name = parent
        return name

    for each in conversations:
        if each.record:
            parents[root(each.record)] = root(each.key)
    return [root(each.key) for each in conversations]


def refuse_shared(
    train: Sequence[Conversation], test: Sequence[Conversation], where: str = "the held-out data"
) -> None:
    """Refuse questions that are trained on and tested on.

    Raises:
        TrainError: tells how many there are, and the first.
    """
    known = {each.key for each in train}
    shared = [each for each in test if each.key in known]
    if shared:
        raise TrainError(
            f"{len(shared)} of {len(test)} questions of {where} are trained on, too: the first is "
            f"{shared[0].asked[-1].content[:80]!r}; remove them from one of the two"
        )


def tokenized(
    conversations: Sequence[Conversation], model: LocalModel, longest: int
) -> tuple[list[Example], int]:
    """The examples of some conversations, and how many were left out as too long.

    Args:
        conversations: in this order.
        model: renders a prompt by the GGUF's own chat template, exactly as when it is asked.
        longest: tokens that an example may have.

    Raises:
        TrainError: the model has no token that ends a turn, or every example is too long.
    """
    end = model.engine.vocabulary.end_of_turn
    if end is None:
        raise TrainError(f"{model.name} has no token that ends a turn, so it can't learn to stop")
    examples = [
        Example(
            model.tokenize(each.asked),
            [*model.engine.vocabulary.tokenize(each.messages[-1].content, continues=True), end],
        )
        for each in conversations
    ]
    kept = [each for each in examples if len(each.prompt) + len(each.answer) <= longest]
    if examples and not kept:
        shortest = min(len(each.prompt) + len(each.answer) for each in examples)
        raise TrainError(
            f"every example is longer than {longest} tokens; the shortest has {shortest}: "
            f"set --set max_length={shortest} or more"
        )
    return kept, len(examples) - len(kept)
