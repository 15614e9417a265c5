"""What every strategy must do, whatever the model says: told with a model of words and seeds."""

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.strategies.conftest import ASKS_APART, timeless
from thinkgraph.graphs.runtime.state import total_usage
from thinkgraph.models.model import Message
from thinkgraph.nodes.event import AnswerReached, NodeStarted

QUESTION = "How many?"


def same(one, other):
    """All of a result but the time it took."""
    return one.answer == other.answer and one.candidates == other.candidates


@pytest.mark.slow
async def test_it_answers_and_the_same_seed_gives_the_same_run(strategy, oracle):
    graph, small = strategy
    first = await graph.arun(QUESTION, model=oracle(), seed=3, **small)
    again = await graph.arun(QUESTION, model=oracle(), seed=3, **small)
    assert first.answer.value in {"0", "1", "2"}
    assert first.cut is None
    assert same(first, again)


@pytest.mark.slow
async def test_another_seed_gives_another_run(strategy, oracle):
    graph, small = strategy
    runs = [await graph.arun(QUESTION, model=oracle(), seed=s, **small) for s in range(6)]
    assert len({run.candidates for run in runs}) > 1


@pytest.mark.slow
async def test_system_prompt_and_history_reach_every_call(strategy, oracle):
    graph, small = strategy
    model = oracle()
    history = [
        Message(role="system", content="Speak like a pirate."),
        Message(role="user", content="Hello."),
        Message(role="assistant", content="Ahoy."),
        Message(role="user", content=QUESTION),
    ]
    await graph.arun(history, model=model, seed=1, **small)
    assert model.calls
    for call in model.calls:
        first, *rest = call.messages
        assert first.role == "system" and "Speak like a pirate." in first.content
        assert [m.role for m in call.messages].count("system") == 1
        apart = graph.spec.name in ASKS_APART and len(rest) == 1
        assert apart or Message(role="assistant", content="Ahoy.") in rest
        assert apart or QUESTION in rest[-1].content


@pytest.mark.slow
async def test_an_interrupted_run_resumes_where_it_was(strategy, oracle):
    """A call fails; the run goes on from its checkpoint and ends as if it had not."""
    graph, small = strategy
    whole = oracle()
    app = graph.compile(model=whole, seed=5, **small)
    wanted = await app.ainvoke({"question": QUESTION})
    last = len(whole.calls) - 1
    # Not a ModelError: one of several requests that fails so would cost only itself.
    model = oracle(fails=last, fault=OSError("the line is dead"))
    config = {"configurable": {"thread_id": "1"}}
    app = graph.compile(InMemorySaver(), model=model, seed=5, **small)
    with pytest.raises(OSError, match="the line is dead"):
        await app.ainvoke({"question": QUESTION}, config)
    resumed = await app.ainvoke(None, config)
    for channel in ("answer", "candidates", "critiques", "counts"):
        assert timeless(resumed.get(channel)) == timeless(wanted.get(channel))
    spent, needed = total_usage(resumed), total_usage(wanted)
    assert spent.completion_tokens == needed.completion_tokens


@pytest.mark.slow
async def test_it_streams_its_nodes_its_words_and_its_answer(strategy, oracle):
    graph, small = strategy
    events = [e async for e in graph.stream(QUESTION, model=oracle(), seed=1, **small)]
    result = events[-1].result
    started = {e.node for e in events if isinstance(e, NodeStarted)}
    assert started and {e.event for e in events} >= {"node", "delta", "answer", "result"}
    answers = [e.answer for e in events if isinstance(e, AnswerReached)]
    assert answers[-1] == result.answer


@pytest.mark.slow
async def test_usage_is_the_sum_of_the_nodes(strategy, oracle):
    graph, small = strategy
    model = oracle()
    result = await graph.arun(QUESTION, model=model, seed=1, **small)
    for name in ("completion_tokens", "prompt_tokens", "cancelled_tokens", "model_calls"):
        total = sum(getattr(usage, name) for usage in result.nodes.values())
        assert total == getattr(result.usage, name)
    assert result.usage.model_calls == len(model.calls)


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [1, 7, 20])
async def test_a_token_budget_is_never_passed(strategy, oracle, tokens):
    graph, small = strategy
    free = await graph.arun(QUESTION, model=oracle(), seed=1, **small)
    result = await graph.arun(QUESTION, model=oracle(), seed=1, budget={"tokens": tokens}, **small)
    assert result.usage.completion_tokens <= tokens
    if free.usage.completion_tokens > tokens:
        assert "tokens" in result.cut


@pytest.mark.slow
@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_budget_of_calls_is_never_passed(strategy, oracle, calls):
    graph, small = strategy
    free = await graph.arun(QUESTION, model=oracle(), seed=1, **small)
    result = await graph.arun(QUESTION, model=oracle(), seed=1, budget={"calls": calls}, **small)
    assert result.usage.model_calls <= calls
    if free.usage.model_calls > calls:
        assert "model call" in result.cut
    elif free.usage.model_calls < calls:
        assert result.cut is None and same(free, result)


@pytest.mark.slow
async def test_a_budget_that_is_spent_at_once_still_ends_the_run(strategy, oracle):
    graph, small = strategy
    result = await graph.arun(QUESTION, model=oracle(), seed=1, budget={"seconds": 1e-6}, **small)
    assert result.cut == "the budget of 1e-06 seconds is spent"
    assert result.usage.model_calls == 0
    assert result.answer.value is None


@pytest.mark.slow
async def test_what_was_answered_before_the_cut_is_the_answer(strategy, oracle):
    """Once a candidate is whole, running out of calls later loses no answer."""
    graph, small = strategy
    free = await graph.arun(QUESTION, model=oracle(), seed=1, **small)
    for calls in range(1, free.usage.model_calls):
        cut = await graph.arun(QUESTION, model=oracle(), seed=1, budget={"calls": calls}, **small)
        whole = [c for c in cut.candidates if c.finish_reason == "stop" and c.answer]
        if whole:
            assert cut.answer.value is not None
