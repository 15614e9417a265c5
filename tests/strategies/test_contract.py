"""What every strategy must do on a real model: answer, keep to its budget, stop when told to."""

import asyncio
from contextlib import aclosing, suppress

import pytest

from thinkgraph.models.catalogue import load

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
        answers.append((result.answer, result.candidates, result.critiques))
    assert answers[0] == answers[1]
    answer, *_ = answers[0]
    assert answer.text.strip()
    assert result.cut is None


async def test_a_token_budget_is_kept_by_the_engine(small, model):
    graph, params = small
    result = await graph.arun(QUESTION, model=model, seed=1, budget={"tokens": 20}, **params)
    assert result.usage.completion_tokens <= 20
    thoughts = [candidate.reasoning for candidate in result.candidates]
    acts = any(node.kind == "act" for node in graph.spec.nodes.values())
    calling = acts and any(candidate.tokens for candidate in result.candidates)
    # It may have ended within a thought or a call.
    assert result.answer.text.strip() or any(thoughts) or calling
    assert result.cut is None or "tokens" in result.cut
    assert result.cut or all(c.finish_reason != "budget" for c in result.candidates)


async def follow(stream):
    async with aclosing(stream):
        async for _ in stream:
            pass


async def test_closing_the_stream_stops_the_model(small, model):
    graph, params = small
    before, drawn = model.engine.stats.cancelled_tokens, model.engine.stats.completion_tokens
    stream = graph.stream(QUESTION, model=model, seed=1, **params)
    following = asyncio.create_task(follow(stream))
    while model.engine.stats.completion_tokens == drawn:  # a call's text is told at its end
        await asyncio.sleep(0)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    for _ in range(200):
        stats = model.engine.stats
        if not stats.running and not stats.waiting:
            break
        await asyncio.sleep(0.01)
    assert not stats.running and not stats.waiting
    assert stats.cancelled_tokens > before  # what ran did not end by itself
