"""What every strategy must do on a real model: answer, keep to its budget, stop when told to."""

import asyncio

import pytest

from thinkgraph.models.catalogue import load
from thinkgraph.nodes.event import TextDelta

pytestmark = pytest.mark.slow

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"
COUNTS = ("prefilled_tokens", "cached_tokens", "completion_tokens", "cancelled_tokens")


@pytest.fixture(scope="module")
def model():
    return load("smollm2")


@pytest.fixture
def small(strategy):
    graph, params = strategy
    return graph, params | ({"max_tokens": 16} if "max_tokens" in graph.spec.params else {})


def counted(model):
    stats = model.engine.stats
    return {name: getattr(stats, name) for name in COUNTS}


def timeless(candidates):
    """Candidates without the seconds that their tools took."""
    return [c.model_dump(exclude={"calls": {"__all__": {"seconds"}}}) for c in candidates]


async def test_it_answers_twice_alike_and_its_account_is_the_engines_own(small, model):
    graph, params = small
    answers = []
    for _ in range(2):
        model.engine.clear_cache()  # so that both runs compute the same batches
        before = counted(model)
        result = await graph.arun(QUESTION, model=model, seed=1, **params)
        after = counted(model)
        for name in COUNTS:
            spent = sum(getattr(usage, name) for usage in result.nodes.values())
            assert spent == getattr(result.usage, name) == after[name] - before[name], name
        answers.append((result.answer, timeless(result.candidates), result.critiques))
    assert answers[0] == answers[1]
    answer, *_ = answers[0]
    assert answer.text.strip()
    assert result.cut is None


async def test_a_token_budget_is_kept_by_the_engine(small, model):
    graph, params = small
    result = await graph.arun(QUESTION, model=model, seed=1, budget={"tokens": 20}, **params)
    assert result.usage.completion_tokens <= 20
    thoughts = [candidate.reasoning for candidate in result.candidates]
    assert result.answer.text.strip() or any(thoughts)  # it may have ended within the thought
    assert result.cut is None or "tokens" in result.cut
    assert result.cut or all(c.finish_reason != "budget" for c in result.candidates)


async def test_closing_the_stream_stops_the_model(small, model):
    graph, params = small
    before = model.engine.stats.cancelled_tokens
    stream = graph.stream(QUESTION, model=model, seed=1, **params)
    async for event in stream:
        if isinstance(event, TextDelta) and event.tokens:
            break
    await stream.aclose()
    for _ in range(200):
        stats = model.engine.stats
        if not stats.running and not stats.waiting:
            break
        await asyncio.sleep(0.01)
    assert not stats.running and not stats.waiting
    assert stats.cancelled_tokens > before  # what ran did not end by itself
