"""How many examples a training step computes at once."""

from types import SimpleNamespace

import pytest

from thinkgraph.train import memory
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import Example

QWEN_05B = SimpleNamespace(
    config=SimpleNamespace(
        num_hidden_layers=24, hidden_size=896, intermediate_size=4864, vocab_size=151_936
    )
)
EXAMPLES = [Example([1] * 20, [1] * 10), Example([1] * 150, [1] * 300)]


@pytest.mark.parametrize(
    ("gib", "at_once"), [(200, 16), (22, 4), (6, 1), (None, 16)]
)  # with 8 at once, a training of such examples was killed on a machine with 24 GiB
def test_are_as_many_as_fit_into_the_memory_and_divide_the_batch(monkeypatch, gib, at_once):
    monkeypatch.setattr(memory, "_free", lambda model: gib and gib << 30)
    assert memory.micro_batch(QWEN_05B, EXAMPLES, 16, "float32") == at_once


def test_less_precision_fits_more(monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda model: 24 << 30)
    counts = [memory.micro_batch(QWEN_05B, EXAMPLES, 64, each) for each in ("float32", "bfloat16")]
    assert counts[0] < counts[1]


def test_an_example_that_does_not_fit_is_one_line(monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda model: 1 << 30)
    with pytest.raises(TrainError, match=r"some 2\.\d GiB, and 1\.0 GiB are free; lower --set max"):
        memory.micro_batch(QWEN_05B, EXAMPLES, 16, "float32")
