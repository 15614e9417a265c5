"""Examples in tokens."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thinkgraph.evaluate.tasks.record import DataError
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import Conversation, read_conversations, tokenized
from thinkgraph.train.settings import TrainSettings


def test_examples_that_are_all_too_long_name_the_setting_that_fits_them() -> None:
    vocabulary = SimpleNamespace(end_of_turn=0, tokenize=lambda text, continues: [1] * 4)
    model: Any = SimpleNamespace(
        engine=SimpleNamespace(vocabulary=vocabulary), tokenize=lambda asked: [1] * 5
    )
    turns = (Message(role="user", content="Two?"), Message(role="assistant", content="Two."))
    with pytest.raises(TrainError, match="--set max_length=10 or more"):
        tokenized([Conversation(turns)], model, 9)
    assert "max_length" in TrainSettings.model_fields


def read(folder: Path, *records: dict[str, Any]) -> list[list[str]]:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return [[m.content for m in each.messages] for each in read_conversations(path)]


def test_a_multiple_choice_is_trained_on_as_it_is_asked(tmp_path: Path) -> None:
    record = {"question": "Capital of France?", "choices": ["Rome", "Paris"], "answer": 1}
    assert read(tmp_path, record) == [["Capital of France?\nA. Rome\nB. Paris", "B"]]


@pytest.mark.parametrize(
    ("answer", "trained"),
    [
        (["Ada", "Ada Lovelace"], "Ada"),
        (True, "true"),
        ("6 * 7 = 42\n#### 42", "6 * 7 = 42\n#### 42"),
        ("So \\boxed{42} it is.", "So \\boxed{42} it is."),
    ],
)
def test_the_first_right_answer_is_trained_on_as_it_is_written(
    tmp_path: Path, answer: Any, trained: str
) -> None:
    assert read(tmp_path, {"question": "Who?", "answer": answer}) == [["Who?", trained]]


def test_a_question_may_be_a_conversation(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    assert read(tmp_path, {"prompt": turns, "answer": "Ada"}) == [["Be brief.", "Who?", "Ada"]]


GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (GOOD, {"text": "a"}, "no field 'messages'"),
        (GOOD, {"messages": 5}, "messages that can't be read"),
        (GOOD, {"messages": GOOD["messages"][:1]}, "an empty answer"),
        ({"question": "a", "answer": "b"}, {"question": "c", "answer": " "}, "an empty answer"),
        ({"question": "a", "answer": "b"}, {"question": ["c"], "answer": "d"}, "can't be read"),
        (
            {"question": "a", "choices": ["x", "y"], "answer": 1},
            {"question": "c", "choices": ["x", "y"], "answer": "z"},
            "none of the options",
        ),
    ],
)
def test_what_a_comparison_refuses_is_refused_with_its_place(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=f"{reason}.*line 2"):
        read(tmp_path, first, second)


def test_ids_may_repeat_in_training_data(tmp_path: Path) -> None:
    records = [{"id": 1, "question": text, "answer": "b"} for text in ("a", "c")]
    assert len(read(tmp_path, *records)) == 2


def test_calls_of_tools_are_refused_with_their_place(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}
    with pytest.raises(ThinkgraphError, match=r"tool calls .* line 2"):
        read(tmp_path, GOOD, {"messages": [GOOD["messages"][0], call, GOOD["messages"][1]]})
