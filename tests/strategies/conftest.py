"""Models and small params for the tests of the built-in strategies."""

import hashlib
from collections.abc import Sequence

import pytest

from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import Call, ScriptedModel
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, parted

SMALL = {
    "samples": 3,
    "drafts": 2,
    "checks": 2,
    "best": 1,
    "lines": 2,
    "agents": 2,
    "rounds": 2,
    "steps": 2,
    "depth": 2,
    "children": 2,
    "breadth": 1,
    "width": 2,
    "thinking": 12,
}


ASKS_APART = {"chain-of-verification"}
"""Strategies that ask some things without the question and what came before it, so that these
can't sway the answer."""


def digest(*parts: object) -> int:
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


def timeless(value):
    """What a channel holds, without the seconds that tools took."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(each) for each in value] if isinstance(value, list | tuple) else value


class Oracle(ScriptedModel):
    """Answers whatever it is asked, by the words and the seed alone, so order changes nothing.

    Its call number ``fails`` raises the fault, or calls it, once. ``calls`` holds the choices too.
    """

    def __init__(self, fails: int | None = None, fault: Exception | None = None) -> None:
        super().__init__(self._say)
        self.fails, self.fault = fails, fault or ModelError("the line is dead")

    def _say(self, messages: Sequence[Message], seed: int) -> str:
        number = digest([m.content for m in messages], seed)
        if any("answer = " in message.content for message in messages):
            return f"answer = 2 * {number % 3} - {number % 3}"
        if any("def solution" in message.content for message in messages):
            return f"def solution():\n    count = {number % 21}\n    return count % 3"
        lines = ["First, look at the question.", "Then count.", f"The answer is {number % 3}."]
        return "\n".join(lines[number % 2 :])

    def _fail(self) -> None:
        if self.fails is not None and len(self.calls) == self.fails:
            self.fails = None
            if callable(self.fault):
                self.fault()
            raise self.fault

    def generate(self, request):
        self._fail()
        return super().generate(request)

    async def choose(self, request, options):
        self._fail()
        turns, begun = parted(request.messages)
        self.calls.append(Call(turns, begun, None, []))  # type: ignore[arg-type]
        weights = [1 + digest([m.content for m in turns], o) % 100 for o in options]
        return [w / sum(weights) for w in weights], self._spend(request)


@pytest.fixture
def oracle():
    return Oracle


@pytest.fixture(params=builtin_names())
def strategy(request):
    """Each built-in strategy, with params that keep it small."""
    graph = load(request.param)
    small = {name: value for name, value in SMALL.items() if name in graph.spec.params}
    return graph, small
