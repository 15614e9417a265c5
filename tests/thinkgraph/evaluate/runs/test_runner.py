"""All pairs are answered once; what was answered before is not asked again."""

from itertools import pairwise

import pytest

from thinkgraph.evaluate.runs.pool import Pool
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.runner import Runner
from thinkgraph.evaluate.runs.store import Store, StoreError
from thinkgraph.evaluate.runs.variant import parse_variants
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.capabilities import HOSTED
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Usage

from .conftest import speak

GRAPHS = "direct,chain-of-thought,self-consistency@1,2,4,8,adaptive-consistency@8"


def variants(text=GRAPHS):
    return parse_variants(text, {}, {})


def drawn(model):
    return sum(len(call.seeds) for call in model.calls)


async def test_every_strategy_answers_every_question(scripted, store, questions):
    rows = await Runner(scripted, store).run(questions, variants())
    assert len({(row.question, row.strategy) for row in rows}) == len(rows) == 6 * 7
    assert all(row.answer is not None and row.failure is None for row in rows)


async def test_votes_of_every_size_share_their_samples(scripted, store, questions):
    await Runner(scripted, store).run(questions, variants())
    # For a question: one greedy answer, one greedy chain of thought, eight samples for all votes.
    assert drawn(scripted) == len(questions) * (1 + 1 + 8)


async def test_the_shared_samples_cost_each_strategy_what_it_used(scripted, store, questions):
    rows = await Runner(scripted, store).run(questions, variants())
    by = {(row.question, row.strategy): row for row in rows}
    for question in questions:
        votes = [by[question.id, f"self-consistency@{n}"] for n in (1, 2, 4, 8)]
        assert [len(row.drafts) for row in votes] == [1, 2, 4, 8]
        for few, many in pairwise(votes):
            assert [d.text for d in many.drafts][: len(few.drafts)] == [d.text for d in few.drafts]
        assert all(row.tokens == sum(d.tokens for d in row.drafts) for row in votes)


async def test_the_lossless_stop_elects_who_the_full_vote_elects(scripted, store, questions):
    both = variants("self-consistency@8,self-consistency@8:stop=decided")
    rows = await Runner(scripted, store).run(questions, both)
    full = {row.question: row for row in rows if row.strategy == both[0].label}
    for row in rows:
        assert row.answer == full[row.question].answer
        assert row.tie == full[row.question].tie
        assert row.tokens <= full[row.question].tokens
    assert drawn(scripted) == 8 * len(questions)


async def test_a_second_start_asks_nothing(scripted, store, questions):
    first = await Runner(scripted, store).run(questions, variants())
    silent, kept = ScriptedModel(), []
    again = await Runner(silent, store).run(
        questions, variants(), lambda row, old: kept.append(old)
    )
    assert sorted(again, key=repr) == sorted(first, key=repr)
    assert kept == [True] * len(first)
    assert silent.calls == []


async def test_more_questions_and_strategies_ask_only_for_themselves(scripted, store, questions):
    await Runner(scripted, store).run(questions[:4], variants("direct,self-consistency@4"))
    before = drawn(scripted)
    await Runner(scripted, store).run(questions, variants("direct,self-consistency@8"))
    assert drawn(scripted) - before == 4 * 4 + 2 * (1 + 8)


async def test_a_changed_question_is_asked_again(scripted, store, questions):
    await Runner(scripted, store).run(questions, variants("direct"))
    changed = [questions[0].model_copy(update={"text": "What else?"}), *questions[1:]]
    before = drawn(scripted)
    await Runner(scripted, store).run(changed, variants("direct"))
    assert drawn(scripted) - before == 1


async def test_a_changed_reference_is_not(scripted, store, questions):
    await Runner(scripted, store).run(questions, variants("direct"))
    before = drawn(scripted)
    corrected = [q.model_copy(update={"reference": "7"}) for q in questions]
    await Runner(scripted, store).run(corrected, variants("direct"))
    assert drawn(scripted) == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"model": ScriptedModel(speak, name="other")}])
async def test_another_seed_or_model_begins_anew(scripted, store, questions, change):
    await Runner(scripted, store).run(questions, variants("self-consistency@2"))
    kept = []
    runner = Runner(**{"model": scripted, "store": store, **change})
    await runner.run(questions, variants("self-consistency@2"), lambda row, old: kept.append(old))
    assert not any(kept)


async def test_a_run_that_fails_is_told_and_tried_again(store, questions):
    class Fragile(ScriptedModel):
        broken = True

        def generate(self, request):
            if self.broken and "3 + 1" in request.messages[-1].content:
                raise ModelError("too hard")
            return super().generate(request)

    model = Fragile(speak)
    rows = await Runner(model, store).run(questions, variants("direct"))
    assert [(row.question, row.failure) for row in rows if row.failure] == [
        ("q3", "node 'reply': too hard")
    ]
    model.broken = False
    rows = await Runner(model, store).run(questions, variants("direct"))
    assert len(rows) == len(questions)
    assert not any(row.failure for row in rows)
    assert drawn(model) == len(questions)


async def test_a_run_that_lost_a_request_is_told_and_repeated(store, questions):
    class Fragile(ScriptedModel):
        broken = True

        def generate(self, request):
            if self.broken and len(self.calls) == 1:
                self.broken = False
                raise ModelError("connection refused")
            return super().generate(request)

    one, adaptive = questions[:1], variants("adaptive-consistency@3")
    (first,) = await Runner(Fragile(speak), store).run(one, adaptive)
    assert (first.answer is None, first.lost) == (False, "connection refused")
    assert await Runner(ScriptedModel(), store).run(one, adaptive, ask=False) == [first]
    (row,) = await Runner(ScriptedModel(speak), store).run(one, adaptive)
    assert row.lost is None
    assert await Runner(ScriptedModel(), store).run(one, adaptive) == [row]


async def test_a_failed_row_takes_no_answers_place(scripted, store, questions):
    (row,) = await Runner(scripted, store).run(questions[:1], variants("direct"))
    failed = Row.failed(row.question, row.strategy, "connection refused")
    assert store.add_row("a", "b", failed) == failed
    assert store.add_row("a", "b", row) == row
    assert store.add_row("a", "b", failed) == row
    assert store.rows("b", ["a"]) == {"a": row}


@pytest.mark.slow
async def test_the_order_of_the_runs_changes_nothing(scripted, tmp_path, questions):
    found = []
    for at_once in (1, 3, 40):
        with Store(tmp_path / f"{at_once}.sqlite") as store:
            rows = await Runner(scripted, store, at_once=at_once).run(questions, variants())
        found.append(sorted(rows, key=lambda row: (row.question, row.strategy)))
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
async def test_a_full_disk_ends_it_with_one_message_and_nothing_lost(scripted, tmp_path, questions):
    path = tmp_path / "c.sqlite"
    with Store(path) as store:
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages + 12}")
        with pytest.raises(StoreError, match=r"disk is full.*resumes from it"):
            await Runner(scripted, store, at_once=2).run(questions, variants())
    kept = []
    with Store(path) as store:
        rows = await Runner(scripted, store).run(
            questions, variants(), lambda row, old: kept.append(old)
        )
    assert len(rows) == 6 * 7
    assert any(kept)


def test_a_database_of_something_else_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, " * 100)
    with pytest.raises(StoreError, match=r"can't use .*notes\.txt"):
        Store(path)


@pytest.mark.slow
async def test_a_damaged_database_is_one_message(scripted, tmp_path, questions):
    file = tmp_path / "comparison.sqlite"
    with Store(file) as store:
        await Runner(scripted, store).run(questions, variants())
    content = file.read_bytes()
    file.write_bytes(content[:8192] + bytes(range(256)) * (len(content[8192:]) // 256))
    said = r"can't (read|write to|use) .*comparison.sqlite"
    with pytest.raises(StoreError, match=said), Store(file) as store:
        await Runner(scripted, store).run(questions, variants())


def test_two_comparisons_do_not_write_to_one_file(tmp_path):
    with Store(tmp_path / "c.sqlite"), pytest.raises(StoreError, match="another process"):
        Store(tmp_path / "c.sqlite")


async def test_roles_of_one_model_share_its_pool(scripted, store):
    runner = Runner(scripted, store, models={"critic": scripted})
    pools = runner._pools()
    assert isinstance(pools[""], Pool)
    assert pools[""] is pools["critic"]


async def test_a_model_that_lacks_template_variables_is_not_given_any(store, questions):
    """An endpoint would refuse the request."""
    model = ScriptedModel(speak)
    model.lacks = HOSTED
    rows = await Runner(model, store).run(questions[:1], variants("step-back"))
    assert rows[0].failure is None
    assert all(not call.sampling.template for call in model.calls)


async def test_a_reward_model_scores_each_answer_once(scripted, store, questions, tmp_path):
    rated = []

    class Reward(ScriptedModel):
        lacks = frozenset()

        async def rate(self, question, answers):
            rated.extend(answers)
            return [float(len(each)) for each in answers], Usage(model_calls=len(answers))

    spec = tmp_path / "rewarded.yaml"
    spec.write_text(
        "thinkgraph: 1\nname: rewarded\nparams: {samples: 4}\nnodes:\n"
        "  draft: {kind: generate, samples: $samples, temperature: 0.8}\n"
        "  rate: {kind: score, by: reward, model: judge}\n"
        "  best: {kind: select, best: 1}\n"
        "edges: START -> draft -> rate -> best -> END\n"
    )
    runner = Runner(scripted, store, models={"judge": Reward(name="reward")})
    rows = await runner.run(questions[:1], variants(f"{spec}@2,4"))
    assert [row.failure for row in rows] == [None, None]
    assert sorted(row.calls for row in rows) == [1 + 2, 1 + 4]
    assert len(rated) == len(set(rated)) <= 4
