"""Examples in tokens."""

from types import SimpleNamespace
from typing import Any

import pytest

from thinkgraph.models.model import Message
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import Conversation, tokenized
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
