"""Samples are drawn once, shared by number, and charged to each run as if it were alone."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.evaluate.runs.pool import Pool, PooledModel
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import Budget, Message, ModelRequest, Sampling

ASKED = [Message(role="user", content="Why?")]
WARM = Sampling(temperature=0.7)


async def drawn(pool, n, sampling=WARM):
    return await PooledModel(pool).generate(ModelRequest(ASKED, sampling, range(n))).completions()


async def test_a_larger_sample_begins_with_the_smaller_one(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    four, sixteen = await drawn(pool, 4), await drawn(pool, 16)
    assert [c.text for c in sixteen[:4]] == [c.text for c in four]
    assert sum(len(call.seeds) for call in scripted.calls) == 16


async def test_runs_side_by_side_draw_nothing_twice(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    found = await asyncio.gather(*(drawn(pool, n) for n in (1, 8, 2, 16, 4)))
    seeds = Counter(seed for call in scripted.calls for seed in call.seeds)
    assert len(seeds) == 16
    assert set(seeds.values()) == {1}
    assert all([c.text for c in few] == [c.text for c in found[3][: len(few)]] for few in found)


async def test_one_run_gets_new_samples_each_time_it_asks(scripted, store):
    model = PooledModel(Pool(scripted, store, "scripted", 0))
    first = await model.generate(ModelRequest(ASKED, WARM, [1, 2])).completions()
    second = await model.generate(ModelRequest(ASKED, WARM, [1, 2])).completions()
    assert {c.seed for c in first}.isdisjoint({c.seed for c in second})


async def test_a_greedy_answer_is_drawn_once(scripted, store):
    model = PooledModel(Pool(scripted, store, "scripted", 0))
    greedy = Sampling(temperature=0)
    await model.generate(ModelRequest(ASKED, greedy, [1])).completions()
    await model.generate(ModelRequest(ASKED, greedy, [2, 3])).completions()
    assert sum(len(call.seeds) for call in scripted.calls) == 1


@pytest.mark.parametrize(
    "other",
    [{"temperature": 0.8}, {"max_tokens": 7}, {"stop": ("x",)}, {"top_p": 0.5}],
)
async def test_another_way_of_sampling_has_its_own_samples(scripted, store, other):
    pool = Pool(scripted, store, "scripted", 0)
    await drawn(pool, 2)
    await drawn(pool, 2, WARM.model_copy(update=other))
    assert sum(len(call.seeds) for call in scripted.calls) == 4


async def test_who_reads_the_confidence_shares_with_who_does_not(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    await drawn(pool, 2)
    await drawn(pool, 2, WARM.model_copy(update={"confidence": True}))
    (call,) = scripted.calls
    assert call.sampling.confidence


@pytest.mark.parametrize(("identity", "seed"), [("other", 0), ("scripted", 1)])
async def test_another_model_or_seed_has_its_own_samples(scripted, store, identity, seed):
    await drawn(Pool(scripted, store, "scripted", 0), 2)
    await drawn(Pool(scripted, store, identity, seed), 2)
    assert len(scripted.calls) == 2


async def test_what_was_drawn_is_found_by_the_next_start(scripted, tmp_path):
    with Store(tmp_path / "s.sqlite") as store:
        first = await drawn(Pool(scripted, store, "scripted", 0), 4)
    silent = ScriptedModel()
    with Store(tmp_path / "s.sqlite") as store:
        again = await drawn(Pool(silent, store, "scripted", 0), 4)
    assert [c.text for c in again] == [c.text for c in first]
    assert silent.calls == []


async def test_a_stop_sees_the_samples_in_the_order_of_their_lengths(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    whole = await drawn(pool, 8)
    generation = PooledModel(pool).generate(ModelRequest(ASKED, WARM, range(8)))
    ended = []
    async for piece in generation:
        ended.append(piece)
        if len(ended) == 3:
            generation.cancel()
    lengths = sorted(c.tokens for c in whole)
    assert [c.tokens for c in ended[:3]] == lengths[:3]
    assert all(c.finish_reason == "cancelled" for c in ended[3:])
    assert {c.tokens for c in ended[3:]} == {lengths[2]}
    assert generation.usage.completion_tokens == sum(min(n, lengths[2]) for n in lengths)
    assert generation.usage.cancelled_tokens == 5 * lengths[2]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_every_run_pays_what_it_used(sizes):
    async def check(tmp):
        told = []
        with Store(tmp, tell=told.append) as store:
            pool = Pool(ScriptedModel(["a b c"] * 9), store, "scripted", 0)
            for n in sizes:
                generation = PooledModel(pool).generate(ModelRequest(ASKED, WARM, range(n)))
                assert len(await generation.completions()) == n
                assert generation.usage.completion_tokens == 3 * n
                assert generation.usage.model_calls == 1
            assert store.spent()[0].completion_tokens == 3 * max(sizes) == sum(told)

    asyncio.run(check(":memory:"))


async def test_a_run_with_a_budget_draws_its_own(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    await drawn(pool, 2)
    budget = Budget(tokens=3)
    generation = PooledModel(pool).generate(ModelRequest(ASKED, WARM, [5, 6], budget))
    completions = await generation.completions()
    assert any(c.finish_reason == "budget" for c in completions)
    assert scripted.calls[-1].seeds == [5, 6]


async def test_what_a_budget_lets_sample_is_counted_as_computed(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    generation = PooledModel(pool).generate(ModelRequest(ASKED, WARM, [5, 6], Budget(tokens=9)))
    completions = await generation.completions()
    assert [c.seed for c in completions] == [5, 6]
    assert store.spent()[0] == generation.usage
    assert store.spent()[0].completion_tokens == sum(c.tokens for c in completions) > 0


async def test_choices_are_worked_out_once(store, tmp_path):
    model = ScriptedModel(choices=[[3, 1]])
    pool = Pool(model, store, "scripted", 0)
    for _ in range(2):
        shares, usage = await PooledModel(pool).choose(ModelRequest(ASKED), ["yes", "no"])
        assert shares == [0.75, 0.25]
        assert usage.model_calls == 1


async def test_a_fault_reaches_everyone_who_waits_and_is_not_kept(store):
    model = ScriptedModel([ModelError("no more"), "fine now"])
    pool = Pool(model, store, "scripted", 0)
    results = await asyncio.gather(drawn(pool, 1), drawn(pool, 1), return_exceptions=True)
    assert [str(r) for r in results] == ["no more", "no more"]
    assert [c.text for c in await drawn(pool, 1)] == ["fine now"]


async def test_a_sample_that_fails_beside_others_is_not_kept_either(store):
    model = ScriptedModel(["a b", ModelError("timed out"), "c", "fine now"])
    pool = Pool(model, store, "scripted", 0)
    with pytest.raises(ModelError, match="timed out"):
        await drawn(pool, 3)
    assert [c.text for c in await drawn(pool, 3)] == ["a b", "fine now", "c"]
    assert store.spent()[0].completion_tokens == 5


async def test_one_who_leaves_does_not_take_the_others_samples(scripted, store):
    pool = Pool(scripted, store, "scripted", 0)
    leaver = asyncio.create_task(drawn(pool, 4))
    await asyncio.sleep(0)
    other = asyncio.create_task(drawn(pool, 4))
    await asyncio.sleep(0)
    leaver.cancel()
    assert len(await other) == 4
    assert len(scripted.calls) == 1


@pytest.mark.parametrize(
    ("error", "lost"), [(ModelError("down"), ["down"]), (PromptTooLong(9, 8, 8), [])]
)
@pytest.mark.parametrize("budget", [None, Budget(tokens=99)])
async def test_a_run_notes_the_errors_that_another_start_may_not_have(store, budget, error, lost):
    model = PooledModel(Pool(ScriptedModel([error]), store, "scripted", 0))
    with pytest.raises(ModelError):
        await model.generate(ModelRequest(ASKED, WARM, [1], budget)).completions()
    assert model.lost == lost
