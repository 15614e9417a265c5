"""Training examples: a prompt as the engine renders it, and the answer to train on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.evaluate.tasks.data import Reader, accepted_answers, plain_text
from thinkgraph.evaluate.tasks.field import Fields, find_fields, known_names, lookup
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.record import Record, read_records
from thinkgraph.evaluate.tasks.table import places
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.model import Message
from thinkgraph.train.errors import TrainError

MOST_HELD_OUT = 64


class Conversation(NamedTuple):
    """Messages, the last of which is the assistant's answer."""

    messages: tuple[Message, ...]
    record: str = ""
    """Place of the record in its file, which all conversations of the record share."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """The messages before the answer."""
        return self.messages[:-1]

    @property
    def key(self) -> str:
        """A digest of the question that ignores case, white space and system messages."""
        turns = [each for each in self.asked if each.role != "system"]
        texts = [f"{m.role}\0{' '.join(m.content.casefold().split())}" for m in turns]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()


class Example(NamedTuple):
    """One tokenized conversation."""

    prompt: list[int]
    answer: list[int]
    """Including the end-of-turn token; only these tokens have a loss."""


class Parts(NamedTuple):
    """Conversations to train on, and held-out ones."""

    train: tuple[Conversation, ...]
    held_out: tuple[Conversation, ...]


def read_conversations(path: Path, fields: dict[str, str] | None = None) -> list[Conversation]:
    """Read the conversations of a data file, one for each of the assistant's messages.

    Args:
        path: a file in any format that comparisons read. A record is a question with its whole
            answer, or `messages`.
        fields: the names of the fields for `question`, `answer` and `messages`, where they differ
            from the common ones.

    Raises:
        DataError: the file can't be read, or a record is one that comparisons refuse.
        TrainError: the file is empty, or a record contains tool calls.
    """
    given = fields or {}
    records = read_records(path, known_names() | {name.casefold() for name in given.values()})
    if not records.records:
        raise TrainError(f"{path} is empty: it has nothing to learn")
    first = records.records[0]
    found = find_fields(given, first.values, f"{path}, {first.place}")
    names = found._replace(id=None)  # training needs no ids, so these may repeat
    _refuse_tools(path, records.records, names)
    reader = Reader(path, names, answers=True)
    questions = reader.read(records.records)
    return [
        conversation
        for record, question in zip(records.records, questions, strict=True)
        for conversation in _conversations(record, question, _answer(reader, record, question))
    ]


def _answer(reader: Reader, record: Record, question: Question) -> str:
    """The first right answer as it is written, so a worked solution with all its steps."""
    if question.choices:
        return question.reference
    name, values = reader.fields.answer, record.values
    answer = reader.asked(values)[1][-1].content if name is None else lookup(values, name)
    texts = [plain_text(each, "answer").strip() for each in accepted_answers(answer)]
    return next(text for text in texts if text)


def _conversations(record: Record, question: Question, answer: str) -> list[Conversation]:
    asked = Message(role="user", content=question.text)
    messages = (*question.messages, asked, Message(role="assistant", content=answer))
    return [
        Conversation(messages[: number + 1], record.place)
        for number, message in enumerate(messages)
        if message.role == "assistant" and message.content and number
    ]


def _refuse_tools(path: Path, records: Sequence[Record], fields: Fields) -> None:
    name = fields.messages or fields.question  # a conversation may have the question's name
    told = [(each.place, lookup(each.values, name) if name else None) for each in records]
    found = [
        place
        for place, messages in told
        if isinstance(messages, list) and any(map(_is_of_tools, messages))
    ]
    if found:
        raise TrainError(
            f"{path}: tool calls or their results in {len(found)} of {len(records)} records: "
            f"{places(found)}; they can't be trained on, remove the records"
        )


def _is_of_tools(message: Any) -> bool:
    return isinstance(message, dict) and (
        bool(message.get("tool_calls")) or message.get("role") in ("tool", "function")
    )


def divide(conversations: Sequence[Conversation], held_out: int | None, seed: int) -> Parts:
    """Split conversations at random; neither a question nor a record is ever in both parts.

    Args:
        conversations: the conversations to split.
        held_out: number of held-out questions; None for a tenth, but at most `MOST_HELD_OUT`.
        seed: of the random choice.

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
    """A group name for each conversation, equal if they share a question or record (union-find)."""
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
    """Refuse data with questions that are both in the training and the test set.

    Raises:
        TrainError: there are such questions; the message has their number, and the first.
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
    """Tokenize conversations; also return how many were left out as too long.

    Args:
        conversations: the conversations, whose order is kept.
        model: renders prompts with the GGUF's chat template, exactly as for inference.
        longest: maximum number of tokens of an example.

    Raises:
        TrainError: the model has no end-of-turn token, or every example is too long.
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
