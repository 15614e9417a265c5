"""A model whose samples are fixed by their seeds, and questions for it."""

import pytest

from thinkgraph.evaluate.runs.store import Store
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.backends.scripted import ScriptedModel


def speak(messages, seed):
    """A text whose length and answer depend on the prompt and the seed alone."""
    words = " ".join(["well"] * (seed % 13))
    asked = sum(map(ord, messages[-1].content))
    return f"{words} The answer is {(asked + seed % 3) % 5}."


@pytest.fixture
def scripted():
    return ScriptedModel(speak)


@pytest.fixture
def questions():
    return [Question(id=f"q{n}", text=f"What is {n} + 1?", reference=str(n + 1)) for n in range(6)]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "comparison.sqlite", "test") as opened:
        yield opened
