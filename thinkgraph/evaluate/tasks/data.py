"""Questions from a file, a dataset on disk, or a built-in task."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkgraph.evaluate.tasks.expected import YES_OR_NO, expecting
from thinkgraph.evaluate.tasks.field import (
    MISSING,
    SET,
    Fields,
    find_fields,
    known_names,
    lookup,
)
from thinkgraph.evaluate.tasks.gym import PREFIX as GYM
from thinkgraph.evaluate.tasks.gym import gym_questions
from thinkgraph.evaluate.tasks.option import (
    LETTERS,
    Options,
    listed_options,
    read_options,
    with_options,
)
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.record import Record, read_records
from thinkgraph.evaluate.tasks.table import FEW, places
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.evaluate.tasks.text import DataError
from thinkgraph.evaluate.tasks.word_problems import COUNT, MOST, word_problems
from thinkgraph.graphs.language.problem import nearest
from thinkgraph.models.model import Message
from thinkgraph.nodes.answers.extract import Boxed

WORD_PROBLEMS = "word-problems"
_LOOKED_AT = 1000  # records that are searched for unused fields
_FINAL = re.compile(r"####\s*(\S[^\n]*)\s*\Z")


def read_questions(
    source: str | Path,
    *,
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    answers: bool = True,
) -> Task:
    """Read a task.

    An answer may be a worked solution: the text after `####` on its last line counts, or the
    content of its last `\\boxed{…}`. Options are appended to their question with letters, and
    the right answer becomes a letter. A question without an id gets one that is derived from its
    text, so that the id is stable if the file grows, is sorted, or has its answers corrected.

    Args:
        source: a .jsonl, .json (a list), .csv or .tsv file; the folder of a Hugging Face dataset;
            `word-problems` or `word-problems:COUNT`; `reasoning-gym:NAME` or
            `reasoning-gym:NAME:COUNT`, if that package is installed. A COUNT is 200 by default.
        fields: the names of the fields for `question`, `context`, `answer`, `id`, `choices`,
            `messages` and `group`; see `find_fields`. The others are guessed from the first
            record, and the task's notes list fields that are not used.
        limit: maximum number of questions: a random sample by the seed, since files are often
            sorted, in the file's order. A larger limit extends the sample of a smaller one. With
            a field for groups, the sample is stratified by group.
        seed: of the sample, and of the questions of built-in tasks.
        answers: if false, questions need no right answer; it is empty where there is none.

    Raises:
        DataError: the source doesn't exist or can't be read, or it has a broken line, a missing
            field, an empty answer, duplicate ids, or no question at all.
        ThinkgraphError: reasoning-gym isn't installed, or has no such generator.
    """
    if limit is not None and limit < 1:
        raise DataError(f"the limit is {limit}: it must be at least 1")
    name, _, rest = str(source).partition(":")
    if name in (WORD_PROBLEMS, GYM):
        if fields:
            raise DataError(f"{name} makes its questions itself: {SET} is for files")
        task = _word_problems(rest, seed) if name == WORD_PROBLEMS else _gym(rest, seed)
    else:
        task = _from_file(Path(source), fields or {}, answers)
    # Extractors depend on all right answers, not on the sample, so they don't change with `limit`.
    questions = sampled(expecting(task.questions), limit, seed)
    return task.model_copy(update={"questions": questions})


def sampled(questions: tuple[Question, ...], limit: int | None, seed: int) -> tuple[Question, ...]:
    """A random sample by ids, in the order given; a smaller sample is a subset of a larger one.

    Questions with groups are sampled in proportion (stratified).
    """
    if limit is None or limit >= len(questions):
        return questions
    chosen = {each.id for each in shuffled(questions, seed)[:limit]}
    return tuple(each for each in questions if each.id in chosen)


def shuffled(questions: tuple[Question, ...], seed: int) -> tuple[Question, ...]:
    """The questions in random order by ids; every prefix is a sample stratified by group."""
    ranks = {each.id: hashlib.sha256(f"{seed}:{each.id}".encode()).digest() for each in questions}
    groups: dict[str, list[Question]] = {}
    for each in sorted(questions, key=lambda question: ranks[question.id]):
        groups.setdefault(each.group, []).append(each)
    places = {
        each.id: ((place + 0.5) / len(group), ranks[each.id])
        for group in groups.values()
        for place, each in enumerate(group)
    }
    return tuple(sorted(questions, key=lambda question: places[question.id]))


def _word_problems(count: str, seed: int) -> Task:
    if (wanted := _counted(WORD_PROBLEMS, count)) > MOST:
        raise DataError(f"{WORD_PROBLEMS}:{count}: there are only {MOST:,} different problems")
    problems = word_problems(wanted, seed)
    questions = [
        Question(id=_digest(each.question, ()), text=each.question, reference=each.answer)
        for each in problems
    ]
    return Task(name=WORD_PROBLEMS, questions=tuple(questions))


def _gym(rest: str, seed: int) -> Task:
    name, _, count = rest.partition(":")
    questions = gym_questions(name, _counted(f"{GYM}:{name}", count), seed)
    return Task(name=f"{GYM}:{name}", questions=tuple(questions), metric=GYM)


def _counted(name: str, count: str) -> int:
    if count and not (count.isdecimal() and 0 < int(count) <= 100_000):
        raise DataError(f"{name}:{count}: a number of questions must follow, as in {name}:{COUNT}")
    return int(count or COUNT)


def _from_file(path: Path, given: Mapping[str, str], answers: bool) -> Task:
    near = None if path.suffix or path.parent.name else nearest(path.name, (WORD_PROBLEMS, GYM))
    if near and not path.exists():
        raise DataError(f"there is no file {path}; did you mean {near}?")
    found = read_records(path, known_names() | {name.casefold() for name in given.values()})
    if not found.records:
        raise DataError(f"{path} is empty: it has no question")
    first = found.records[0]
    fields = find_fields(given, first.values, f"{path}, {first.place}", answers=answers)
    questions = Reader(path, fields, answers).read(found.records)
    notes = [*found.notes, *_read_as(fields, found.records)]
    return Task(
        name=path.stem, questions=tuple(questions), metric=_metric(questions), notes=tuple(notes)
    )


def _read_as(fields: Fields, records: Sequence[Record]) -> Iterable[str]:
    """A note with the unused fields, and the fields that were read, if any is unused."""
    read = [f"{role}: {name}" for role, name in fields._asdict().items() if name]
    unused = fields.unused(record.values for record in records[:_LOOKED_AT])
    if unused:
        yield (
            f"fields that are not used: {', '.join(unused)} (read were {'; '.join(read)}; "
            f"{SET} ROLE=NAME reads another, --by NAME breaks the results down)"
        )


def _metric(questions: Sequence[Question]) -> str:
    """The name of the metric that fits the right answers."""
    if all(each.choices for each in questions):
        return "choice"
    if all(YES_OR_NO.fullmatch(each.reference) for each in questions):
        return "yes-no"
    return "exact"


class Fault(Exception):
    """An error in one record, with a remedy."""


class Reader:
    """Converts records to questions, and collects their errors."""

    def __init__(self, path: Path, fields: Fields, answers: bool) -> None:
        self.path, self.fields, self._answers = path, fields, answers
        self._places: dict[str, list[str]] = defaultdict(list)
        self._faults: dict[tuple[str, str], list[str]] = defaultdict(list)

    def read(self, records: Iterable[Record]) -> list[Question]:
        """The questions of the records, in their order.

        Raises:
            DataError: records have errors; the message lists all of them.
        """
        questions, count = [], 0
        for count, record in enumerate(records, 1):  # noqa: B007 (used below)
            try:
                question = self._question(record.values)
            except Fault as fault:
                self._faults[fault.args[0], fault.args[1]].append(record.place)
                continue
            self._places[question.id].append(record.place)
            if self.fields.id is None and len(self._places[question.id]) > 1:
                again = f"{question.id}-{len(self._places[question.id])}"
                question = question.model_copy(update={"id": again})
            questions.append(question)
        self._tell(count)
        return questions

    def _tell(self, count: int) -> None:
        """Raise all collected errors in one message."""
        wrong = [
            f"{what} in {len(where)} of {count} records: {places(where)}; {way_out}"
            for (what, way_out), where in self._faults.items()
        ]
        twice = {id: where for id, where in self._places.items() if len(where) > 1}
        if twice and self.fields.id is not None:
            some = [f"{id!r} at {places(where)}" for id, where in list(twice.items())[:FEW]]
            more = f" and {len(twice) - FEW} more" if len(twice) > FEW else ""
            wrong.append(
                f"the same {self.fields.id!r} more than once: {'; '.join(some)}{more}; ids must "
                f"differ: mend them, or make them from the questions by {SET} id="
            )
        if wrong:
            raise DataError(f"{self.path}: " + "\n".join(wrong))

    def _question(self, values: Mapping[str, Any]) -> Question:
        text, messages = self.asked(values)
        answer: Any = None
        if self.fields.answer is not None:
            answer = self._value(values, self.fields.answer)
        elif messages and messages[-1].role == "assistant":
            *messages, last = messages
            answer = last.content
        if text is None:
            if not messages or messages[-1].role != "user":
                raise Fault("messages that don't end with the user's", _ROLES)
            *messages, last = messages
            text = last.content
        if not text.strip():
            raise Fault("an empty question", "fill it in, or remove the record")
        text = "\n".join(filter(None, (self._plain(values, "context"), text)))
        options = self._options(values) or _options_within(text, answer)
        if options is not None:
            text = with_options(text, options.texts)
        told = self._answers or answer is not None or (options and options.right is not None)
        reference, *others = _references(answer, options) if told else [""]
        return Question(
            id=self._id(values) or _digest(text, messages),
            text=text,
            reference=reference,
            alternatives=tuple(others),
            messages=tuple(messages),
            choices=options.texts if options else (),
            group=self._plain(values, "group"),
        )

    def _plain(self, values: Mapping[str, Any], role: str) -> str:
        """The text of an optional role; empty if the record has none."""
        name: str | None = getattr(self.fields, role)
        return plain_text(self._value(values, name), role).strip() if name else ""

    def asked(self, values: Mapping[str, Any]) -> tuple[str | None, list[Message]]:
        """The question's text, or None if the last message is the question; and the messages."""
        said = self._value(values, self.fields.messages) if self.fields.messages else []
        asked = self._value(values, self.fields.question) if self.fields.question else None
        if isinstance(asked, list):  # a conversation under the question's name
            said, asked = asked, None
        return (None if asked is None else plain_text(asked, "question")), read_messages(said)

    def _options(self, values: Mapping[str, Any]) -> Options | None:
        if self.fields.choices is None:
            return None
        if columns := self.fields.columns:
            texts = {
                each: plain_text(self._value(values, each), "choices").strip() for each in columns
            }
            filled = {_label(name): text for name, text in texts.items() if text}
            options = read_options(filled)
        else:
            options = read_options(self._value(values, self.fields.choices))
        if options is None:
            raise Fault(
                f"a {self.fields.choices!r} that isn't 2 to 26 different options",
                f"it must be a list, or an object from label to text; {SET} choices= for none",
            )
        return options

    def _id(self, values: Mapping[str, Any]) -> str | None:
        if self.fields.id is None:
            return None
        found = plain_text(self._value(values, self.fields.id), "id").strip()
        if not found:
            raise Fault("an empty id", f"fill it in, or make ids from the questions by {SET} id=")
        return found

    def _value(self, values: Mapping[str, Any], name: str) -> Any:
        found = lookup(values, name)
        if found is MISSING:
            has = ", ".join(values) or "none"
            raise Fault(f"no field {name!r}", f"the fields there are {has}; add it or remove them")
        return found


_ROLES = "each needs a role (system, user or assistant) and a content, and the last is the question"


def plain_text(value: Any, what: str) -> str:
    """A plain value as text."""
    match value:
        case [one]:
            return plain_text(one, what)
        case None:
            return ""
        case float() if math.isnan(value):
            return ""
        case float() if math.isinf(value):
            raise Fault(f"an infinite number as {what}", "write it as text, or remove the record")
        case bool() | int() | float():
            return json.dumps(value)
        case list() | dict():
            kind = "a list" if isinstance(value, list) else "an object"
            raise Fault(f"{kind} as {what}", f"name a field with a text by {SET} {what}=NAME")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Fault("half a character (a lone surrogate)", "mend or remove it") from None
    return text


def _joined(content: Any) -> Any:
    """The joined text of `[{"type": "text", "text": …}, …]`; anything else unchanged."""
    match content:
        case [{"type": "text", "text": str()}, *_] if all(
            isinstance(part, dict) and part.get("type") == "text" for part in content
        ):
            return "".join(str(part.get("text", "")) for part in content)
    return content


def read_messages(value: Any) -> list[Message]:
    """Parse the messages of a conversation; a content is a text, or a list of text parts.

    Raises:
        Fault: the messages are malformed.
    """
    try:
        return [
            Message(role=each["role"], content=plain_text(_joined(each["content"]), "message"))
            for each in value or ()
        ]
    except (KeyError, TypeError, ValueError):
        raise Fault("messages that can't be read", _ROLES) from None


def _label(column: str) -> str:
    """The label of an option, from its column's name: A, or the 1 of `option1`."""
    return column.strip()[-1]


def _options_within(text: str, answer: Any) -> Options | None:
    """The options listed in a question's text, if the answer is the letter of one."""
    if not isinstance(answer, str) or not _LETTER.fullmatch(answer):
        return None
    options = listed_options(text)
    return options if options and options.letter(answer) else None


_LETTER = re.compile(r"\s*\(?[A-Z]\)?[.:]?\s*")


def _references(answer: Any, options: Options | None) -> list[str]:
    """The right answer, followed by alternatives."""
    accepted = accepted_answers(answer)
    if options is not None:
        if len(accepted) > 1:
            raise Fault("several right options", "keep one of them")
        right = None if options.right is None or answer is not None else LETTERS[options.right]
        letter = right or options.letter(accepted[0] if accepted else None)
        if letter is None:
            raise Fault(
                "an answer that is none of the options",
                "it must be a label, a letter, an option's words, or its place counted from 0",
            )
        return [letter]
    texts = [plain_text(each, "answer").strip() for each in accepted]
    found = list(dict.fromkeys(_final(text) for text in texts if text))
    if not found:
        raise Fault("an empty answer", "fill it in, or remove the record")
    return found


def accepted_answers(answer: Any) -> list[Any]:
    """All accepted answers, of a list, SQuAD's `text`, or TriviaQA's `aliases`."""
    match answer:
        case {"text": [*texts]}:
            return texts
        case {"value": str(value), "aliases": [*others]}:
            return [value, *others]
        case [*several]:
            return several
    return [answer]


def _final(text: str) -> str:
    """The answer at the end of a worked solution."""
    if final := _FINAL.search(text):
        return final[1].strip()
    return (Boxed().find(text) if "\\boxed" in text else None) or text


def _digest(text: str, messages: Sequence[Message]) -> str:
    """An id derived from the text and the messages."""
    asked = json.dumps([text, *([each.role, each.content] for each in messages)])
    return hashlib.sha256(asked.encode()).hexdigest()[:12]
