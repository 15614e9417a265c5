"""Logits that are no numbers: whose fault it is is found out, and nobody else's request fails.

Without flash attention, as on a GPU, the cells of one sequence spoil the rows of every other.
"""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.runner import DecodeError, Runner
from thinkgraph.models.engine.sampling.distribution import Distribution, NotFinite
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Budget, Message, ModelRequest, Sampling

NONSENSE = "left:1e38"
GREEDY = Sampling(temperature=0, max_tokens=12, ignore_eos=True)
SHORT, LONG = "what comes next?", "a prompt of several chunks " * 20


def asked(text, adapter=None, samples=1, **changes):
    sampling = GREEDY.model_copy(update={"adapter": adapter, **changes})
    messages = [Message(role="user", content=text)]
    return ModelRequest(messages, sampling, range(samples), budget=Budget(tokens=100_000))


async def answered(model, requests, after=lambda generations: None):
    """The texts of each request, or its error."""
    generations = [model.generate(request) for request in requests]
    after(generations)
    async with asyncio.timeout(60):
        found = await asyncio.gather(
            *(g.completions() for g in generations), return_exceptions=True
        )
    return [[c.text for c in each] if isinstance(each, list) else each for each in found]


def is_idle(model):
    engine, stats = model.engine, model.engine.stats
    return not (stats.running or stats.waiting or engine._pool.leases or engine._scheduler.suspects)


class Counting:
    """Does something at the n-th call of a method, in place of it or before."""

    def __init__(self, monkeypatch, owner, name, at, act):
        real, self.calls = getattr(owner, name), 0

        def counting(*args):
            self.calls += 1
            if self.calls == at:
                act()
            return real(*args)

        monkeypatch.setattr(owner, name, counting)


def throw(error):
    raise error


@pytest.mark.parametrize("flash_attention", ["on", "off"])
@pytest.mark.parametrize("changes", [{}, {"temperature": 0.7}], ids=str)
async def test_an_adapter_by_which_the_model_computes_nonsense_fails_its_requests_alone(
    opened, adapters, changes, flash_attention
):
    model = opened("llama", adapters=adapters, flash_attention=flash_attention)
    [expected] = await answered(model, [asked(SHORT)])
    good = [asked(SHORT, samples=2), asked("y", "left")]
    bad = [asked(text, NONSENSE, 2, **changes) for text in ("x", SHORT, LONG)]
    [texts, [other], *errors] = await answered(model, good + bad)
    assert texts == expected * 2
    assert len(other) > 0
    for error in errors:
        assert isinstance(error, ModelError)
        assert "not finite numbers" in str(error)
    assert await answered(model, [asked(SHORT)]) == [expected]
    assert is_idle(model)


KINDS = st.tuples(
    st.sampled_from([SHORT, "x", LONG]),
    st.sampled_from([None, "right", NONSENSE]),
    st.integers(1, 5),
    st.sampled_from(["", "", "cancelled", "budget"]),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kinds=st.lists(KINDS, min_size=2, max_size=5),
    sequences=st.integers(2, 5),
    batch=st.sampled_from([16, 64, 512]),
    at=st.integers(1, 60),
    fault=st.sampled_from([None, NotFinite("once"), DecodeError(-3)]),
)
def test_whatever_runs_beside_it_nobody_waits_for_ever_and_no_other_request_fails(
    opened, adapters, kinds, sequences, batch, at, fault
):
    """Requests end early at a random step, and a batch or a row fails once."""
    model = opened(
        "llama",
        adapters=adapters,
        sequences=sequences,
        batch=batch,
        kv_cells=1024,
        flash_attention="off",
    )
    requests = [asked(text, adapter, samples) for text, adapter, samples, _ in kinds]

    def end(generations):
        for generation, (_, _, _, how) in zip(generations, kinds, strict=True):
            if how == "cancelled":
                model.engine._cancel(generation._request, None)
            elif how == "budget":
                generation._request.budget.stop("enough")

    def ends_early(generations):
        Counting(patch, Engine, "step", at, lambda: end(generations))

    with pytest.MonkeyPatch.context() as patch:
        if isinstance(fault, NotFinite):
            Counting(patch, Distribution, "check", at, lambda: throw(fault))
        elif fault:
            Counting(patch, Runner, "run", at, lambda: throw(fault))
        found = asyncio.run(answered(model, requests, ends_early))
    for answer, (_, adapter, _, how) in zip(found, kinds, strict=True):
        if adapter == NONSENSE and not how:
            assert isinstance(answer, ModelError)
        elif adapter != NONSENSE and not isinstance(fault, DecodeError):
            assert isinstance(answer, list)
    assert is_idle(model)
    assert isinstance(asyncio.run(answered(model, [asked(SHORT)]))[0], list)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(1, 60), architecture=st.sampled_from(["llama", "mamba", "jamba", "gemma2"]))
def test_a_row_that_another_sequence_has_spoiled_is_computed_again_and_nothing_lost(
    opened, at, architecture
):
    model = opened(architecture, sequences=4)
    requests = [asked(f"question {number}", samples=2) for number in range(4)]
    expected = asyncio.run(answered(model, requests))
    spent = [request.budget._spent_tokens for request in requests]
    with pytest.MonkeyPatch.context() as patch:
        Counting(patch, Distribution, "check", at, lambda: throw(NotFinite("once")))
        assert asyncio.run(answered(model, requests)) == expected
    assert [request.budget._spent_tokens for request in requests] == [2 * each for each in spent]
    assert is_idle(model)


@pytest.mark.parametrize("fault", [NotFinite("once"), DecodeError(-3)], ids=repr)
async def test_those_that_no_longer_fit_beside_each_other_go_on_one_by_one(
    opened, adapters, monkeypatch, fault
):
    model = opened("llama", adapters=adapters, sequences=8, context=512, kv_cells=512, idle_cells=0)
    hit = []

    def once():
        if not hit and model.engine._pool.free < 30:
            hit.append(True)
            raise fault

    owner, name = (Runner, "run") if isinstance(fault, DecodeError) else (Distribution, "check")
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: once() or real(*given))
    requests = [
        asked("a" * 110, None, 2, max_tokens=70, temperature=1.5),
        asked("b" * 10, "left", 5, max_tokens=70, temperature=1.5),
    ]
    found = await answered(model, requests)
    assert hit
    assert [len(texts) for texts in found] == [2, 5]
    assert is_idle(model)


@pytest.mark.parametrize("always", [False, True])
async def test_a_text_one_of_whose_rows_is_no_number_is_never_scored_wrong(
    opened, monkeypatch, always
):
    model = opened("llama")
    text = "it is a long answer of many tokens"
    expected, _ = await model.score(asked(SHORT), text)
    model.engine.clear_cache()
    calls, bad, real = [], [], Distribution.check

    def check(self):
        calls.append(self)
        if len(calls) == 5:
            bad.append(bytes(self.logits[:8]))
        if len(calls) == 5 or (always and bytes(self.logits[:8]) in bad):
            raise NotFinite("here")
        real(self)

    monkeypatch.setattr(Distribution, "check", check)
    if always:
        with pytest.raises(ModelError, match="here"):
            await model.score(asked(SHORT), text)
        return
    found, _ = await model.score(asked(SHORT), text)
    assert [each.token for each in found] == [each.token for each in expected]
    assert [each.logprob for each in found] == pytest.approx(
        [each.logprob for each in expected], abs=0.05
    )
