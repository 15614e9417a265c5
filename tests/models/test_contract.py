"""What every model promises its callers, tried on each kind of model there is."""

import asyncio
from collections import defaultdict
from contextlib import aclosing

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from thinkgraph.models.backends.langchain import LangChainModel
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.catalogue import load
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Budget, Completion, Delta, Message, ModelRequest, Sampling

ASKED = [Message(role="user", content="Count from one to twenty in words.")]
LONG = Sampling(max_tokens=24, temperature=1.0)
TWENTY = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


class Endless(FakeListChatModel):
    """A hosted model that answers slowly, a character at a time, and never stops itself."""

    sleep: float | None = 0.001


def scripted():
    return ScriptedModel(lambda messages, seed: f"{TWENTY} and {seed}")


def hosted():
    return LangChainModel(Endless(responses=[TWENTY]))


def local():
    return load("smollm2", context=512, sequences=8)


@pytest.fixture(scope="module", params=[scripted, hosted, local, "endpoint"])
def model(request):
    if request.param == "endpoint":
        return load(f"openai:smollm2@{request.getfixturevalue('served')}")
    return request.param()


async def events_of(generation):
    return [event async for event in generation]


async def test_deltas_of_a_sample_concatenate_to_its_completions_text(model):
    events = await events_of(model.generate(ModelRequest(ASKED, LONG, [1, 2, 3])))
    texts, counts = defaultdict(str), defaultdict(list)
    for event in events:
        if isinstance(event, Delta):
            texts[event.sample] += event.text
            counts[event.sample].append(event.tokens)
    completions = {e.sample: e for e in events if isinstance(e, Completion)}
    assert texts == {index: c.text for index, c in completions.items()}
    assert all(texts.values())
    assert all(count == sorted(count) for count in counts.values())


async def test_a_completion_is_the_last_of_its_sample(model):
    ended = set()
    for event in await events_of(model.generate(ModelRequest(ASKED, LONG, [1, 2]))):
        assert event.sample not in ended
        if isinstance(event, Completion):
            ended.add(event.sample)
    assert ended == {0, 1}


async def test_there_is_one_completion_for_each_seed_in_order(model):
    seeds = [7, 0, 2**31 - 1, 7]
    completions = await model.generate(ModelRequest(ASKED, LONG, seeds)).completions()
    assert [c.seed for c in completions] == seeds
    assert [c.sample for c in completions] == [0, 1, 2, 3]


async def test_completions_can_be_had_after_iterating(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2]))
    events = await events_of(generation)
    streamed = sorted((e for e in events if isinstance(e, Completion)), key=lambda c: c.sample)
    assert await generation.completions() == streamed


async def test_usage_adds_up(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2]))
    completions = await generation.completions()
    usage = generation.usage
    assert usage.completion_tokens == sum(c.tokens for c in completions) > 0
    assert (usage.cancelled_tokens, usage.model_calls) == (0, 1)


async def test_each_token_of_a_prompt_is_prefilled_or_cached(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2]))
    await generation.completions()
    usage = generation.usage
    assert usage.prompt_tokens == usage.prefilled_tokens + usage.cached_tokens > 0


async def test_cancelling_one_sample_leaves_the_others(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2, 3]))
    completions = {}
    async for event in generation:
        if isinstance(event, Completion):
            completions[event.sample] = event
        elif event.sample == 1:
            generation.cancel(1)
    reasons = [completions[index].finish_reason for index in range(3)]
    assert reasons[1] == "cancelled"
    assert "cancelled" not in (reasons[0], reasons[2])
    assert 0 < completions[1].tokens < completions[0].tokens
    assert generation.usage.cancelled_tokens == completions[1].tokens


async def test_cancelling_all_ends_them_with_what_they_have(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2]))
    async for event in generation:
        if isinstance(event, Delta):
            generation.cancel()
    completions = await generation.completions()
    assert {c.finish_reason for c in completions} == {"cancelled"}
    assert any(c.text for c in completions)


async def test_cancelling_after_the_end_changes_nothing(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1]))
    (completion,) = await generation.completions()
    generation.cancel()
    generation.cancel(0)
    assert await generation.completions() == [completion]
    assert generation.usage.cancelled_tokens == 0


async def test_leaving_early_cancels_the_rest(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2]))
    async with aclosing(aiter(generation)) as events:
        async for _ in events:
            break
    completions = await asyncio.wait_for(generation.completions(), 5)
    assert {c.finish_reason for c in completions} == {"cancelled"}
    spent = generation.usage
    assert spent.cancelled_tokens == spent.completion_tokens == sum(c.tokens for c in completions)


async def test_cancelling_the_task_that_awaits_cancels_the_samples(model):
    generation = model.generate(ModelRequest(ASKED, Sampling(max_tokens=200), [1]))
    task = asyncio.create_task(generation.completions())
    while not generation.usage.completion_tokens:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = generation.usage.completion_tokens
    await asyncio.sleep(0.1)
    assert generation.usage.completion_tokens <= before + 2


async def test_a_token_budget_is_never_overspent(model):
    budget = Budget(tokens=7)
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2, 3], budget))
    completions = await generation.completions()
    assert generation.usage.completion_tokens <= 7
    assert "budget" in {c.finish_reason for c in completions}
    assert sum(c.tokens for c in completions) == generation.usage.completion_tokens
    assert budget.exhausted == "the budget of 7 tokens is spent"


async def test_a_spent_budget_gives_empty_completions(model):
    generation = model.generate(ModelRequest(ASKED, LONG, [1, 2], Budget(tokens=0)))
    completions = await generation.completions()
    assert [(c.text, c.finish_reason) for c in completions] == [("", "budget")] * 2


async def test_a_budget_that_is_stopped_ends_what_is_under_way_with_its_text_so_far(model):
    budget = Budget()
    generation = model.generate(ModelRequest(ASKED, Sampling(max_tokens=200), [1, 2], budget))
    pieces = []
    async for piece in generation:
        budget.stop("enough")
        pieces.append(piece)
    ends = [piece for piece in pieces if isinstance(piece, Completion)]
    assert {each.finish_reason for each in ends} <= {"budget", "stop"}
    assert "budget" in {each.finish_reason for each in ends}
    assert Budget(parent=budget).refusal == budget.stopped == "enough"


async def test_a_budget_of_calls_counts_a_prompt_once(model):
    budget = Budget(calls=1)
    first = await model.generate(ModelRequest(ASKED, LONG, [1, 2], budget)).completions()
    second = await model.generate(ModelRequest(ASKED, LONG, [1], budget)).completions()
    assert {c.finish_reason for c in first} <= {"stop", "length"}
    assert second[0].finish_reason == "budget"


async def test_generations_run_side_by_side(model):
    both = await asyncio.gather(
        *(model.generate(ModelRequest(ASKED, LONG, [seed])).completions() for seed in (1, 2))
    )
    assert [completions[0].seed for completions in both] == [1, 2]


def test_a_model_serves_one_event_loop_after_another(model):
    async def ask():
        return await model.generate(ModelRequest(ASKED, LONG, [1])).completions()

    assert [len(asyncio.run(ask())) for _ in range(2)] == [1, 1]


def test_no_seed_is_an_error(model):
    with pytest.raises(ModelError, match="at least one seed"):
        model.generate(ModelRequest(ASKED, LONG, []))


def test_a_model_says_what_it_is(model):
    assert model.name
    assert model.context_length > model.count_tokens(ASKED) > 0
