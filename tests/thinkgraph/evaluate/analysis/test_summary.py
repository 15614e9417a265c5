"""What a comparison comes to, from rows whose verdicts are laid out by hand."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.evaluate.analysis.statistics import (
    difference_interval,
    holm,
    mcnemar,
    questions_needed,
    wilson,
)
from thinkgraph.evaluate.analysis.summary import Summary, summarize
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.metrics.own import Own
from thinkgraph.evaluate.results.columns import cost, lines
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Usage

TOKENS = {"direct": 60, "chain-of-thought": 120, "self-consistency@16": 1900}


def row(question, label, sign, tokens):
    """`+` is right, `-` wrong, `?` an abstention, `!` a failure."""
    if sign == "!":
        return Row.failed(question.id, label, "out of memory")
    answer = {"+": question.reference, "-": "0", "?": None}[sign]
    return Row(
        question=question.id,
        strategy=label,
        answer=answer,
        text=str(answer),
        tokens=tokens,
        prompt_tokens=50,
        calls=2,
    )


def comparison(verdicts, tokens=TOKENS, graphs=None):
    """One sign a question for each label; a shorter text, or a space, leaves rows out."""
    count = max(map(len, verdicts.values()))
    questions = [Question(id=f"q{i}", text="?", reference=str(100 + i)) for i in range(count)]
    rows = [
        row(question, label, sign, tokens.get(label, 100))
        for label, signs in verdicts.items()
        for question, sign in zip(questions, signs, strict=False)
        if sign != " "
    ]
    random.Random(1).shuffle(rows)
    graphs = graphs or {}
    return Comparison(
        task="by-hand",
        model="nobody",
        seed=0,
        metric="exact",
        variants=tuple(
            Variant(label=label, graph=graphs.get(label, label.split("@")[0])) for label in verdicts
        ),
        questions=tuple(questions),
        rows=tuple(rows),
        spent=Usage(completion_tokens=1000),
        seconds=10.0,
    )


def summary(verdicts, **more) -> Summary:
    return summarize(comparison(verdicts, **more), find_metric("exact"))


def said(verdicts, about="", **more):
    """The sentences that speak of something."""
    found = summary(verdicts, **more).sentences
    return [each for each in found if about in each]


def drafts(row, *, cut):
    """Two candidates, the second of which may be cut off."""
    ends = ("stop", "length" if cut else "stop")
    return tuple(
        Draft(id=f"a.{n}", text="", answer=None, tokens=1, live=True, finish_reason=end)
        for n, end in enumerate(ends)
    )


CLEAR = {"direct": "+" * 40 + "-" * 60, "chain-of-thought": "+" * 10 + "-" * 90}
UNCLEAR = {"direct": "+" * 40 + "-" * 60, "chain-of-thought": "-" * 5 + "+" * 43 + "-" * 52}


class TestStandings:
    def test_count_what_was_right_and_what_it_cost(self):
        strategy = summary({"direct": "++-?!"}).strategies[0]
        assert (strategy.questions, strategy.right, strategy.share) == (5, 2, 0.4)
        assert (strategy.low, strategy.high) == wilson(2, 5)
        assert (strategy.abstained, strategy.failures) == (1, 1)
        assert (strategy.tokens, strategy.prompt_tokens, strategy.calls) == (60, 50, 2)
        assert strategy.tokens_per_right == 4 * 60 / 2
        assert strategy.seconds == pytest.approx(60 * 10 / 1000)

    def test_have_no_seconds_where_all_samples_were_stored_already(self):
        """The time of such a start is no model's, and was taken for that of one token."""
        kept = comparison({"direct": "++"}).model_copy(update={"spent": Usage(), "paces": {}})
        found = summarize(kept, find_metric("exact"))
        assert kept.seconds and found.strategies[0].seconds == 0
        (column,) = [each for each in cost(found) if each.head == "seconds"]
        assert [column.cell(line) for line in lines(found)] == ["–"]

    def test_stand_in_the_order_asked_for_with_the_baseline_first(self):
        found = summary({"b": "+", "a": "-", "direct": "+"})
        assert [each.label for each in found.strategies] == ["b", "a", "direct"]
        assert [(each.label, each.baseline) for each in found.differences] == [
            ("a", "b"),
            ("direct", "b"),
        ]

    def test_never_right_has_no_cost_of_a_right_answer(self):
        assert summary({"direct": "--"}).strategies[0].tokens_per_right is None

    def test_the_front_is_what_nothing_else_beats_in_both(self):
        verdicts = {"cheap": "+---", "same": "+---", "good": "+++-", "dear": "+++-", "best": "++++"}
        tokens = {"cheap": 10, "same": 10, "good": 20, "dear": 30, "best": 90}
        found = summary(verdicts, tokens=tokens).strategies
        assert [each.label for each in found if each.on_front] == ["cheap", "same", "good", "best"]

    def test_the_front_of_what_is_not_finished_is_that_of_the_questions_of_both(self):
        """Else the one that has answered the easy questions alone would look better."""
        verdicts = {"direct": "++-----+", "vote": "++--", "other": "++++++++"}
        tokens = {"direct": 10, "vote": 50, "other": 90}
        found = summary(verdicts, tokens=tokens)
        assert [each.label for each in found.strategies if each.on_front] == ["direct", "other"]
        assert found.strategies[1].share > found.strategies[0].share
        (budget,) = found.equal_budget
        assert "direct" in budget and "(50 tokens, 50 %: 0 points" in budget

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(st.text("+-", min_size=4, max_size=4), st.integers(1, 9)),
            min_size=1,
            max_size=6,
        )
    )
    def test_each_off_the_front_is_beaten_by_one_on_it(self, strategies):
        verdicts = {f"s{i}": signs for i, (signs, _) in enumerate(strategies)}
        tokens = {f"s{i}": cost for i, (_, cost) in enumerate(strategies)}
        found = summary(verdicts, tokens=tokens).strategies
        front = [each for each in found if each.on_front]
        assert front
        for each in found:
            assert each.on_front or any(
                one.share >= each.share and one.tokens <= each.tokens for one in front
            )

    def test_nothing_was_answered_yet(self):
        found = summarize(comparison(CLEAR).model_copy(update={"rows": ()}), find_metric("exact"))
        assert [(each.low, each.high, each.on_front) for each in found.strategies] == [
            (0, 1, False)
        ] * 2
        assert found.sentences[0] == "direct has answered no question yet."
        assert "chain-of-thought and direct have no question in common yet." in found.sentences


class TestDifferences:
    def test_are_those_of_the_statistics(self):
        found = summary({**UNCLEAR, "self-consistency@16": "+" * 70 + "-" * 30})
        thought, vote = found.differences
        gains = [-1.0] * 5 + [0.0] * 35 + [1.0] * 8 + [0.0] * 52
        assert thought.points == pytest.approx(3)
        assert (thought.low, thought.high) == pytest.approx(
            [100 * each for each in difference_interval(gains)], abs=2
        )
        assert (thought.p, vote.p) == (mcnemar(8, 5), mcnemar(30, 0))
        assert [thought.p_adjusted, vote.p_adjusted] == holm([thought.p, vote.p])
        assert thought.needed == questions_needed(gains, comparisons=2)
        assert (thought.sure, vote.sure, vote.needed) == (False, True, None)

    def test_name_the_questions_that_were_gained_and_lost(self):
        found = summary({"direct": "++--", "chain-of-thought": "+-+-"}).differences[0]
        assert (found.gained, found.lost) == (("q2",), ("q1",))

    def test_pair_only_what_both_have_answered(self):
        found = summary({"direct": "++++++", "chain-of-thought": "-+ + "}).differences[0]
        assert (found.questions, found.lost) == (3, ("q0",))
        assert found.points == pytest.approx(-100 / 3)

    def test_a_failed_run_is_a_wrong_answer(self):
        found = summary({"direct": "++", "chain-of-thought": "+!"}).differences[0]
        assert (found.questions, found.lost) == (2, ("q1",))

    def test_a_failed_run_makes_a_strategy_no_cheaper(self):
        """Its row has 0 tokens, as what it cost isn't known."""
        tokens = {"direct": 60, "chain-of-thought": 70}
        found = summary({"direct": "++--", "chain-of-thought": "++!!"}, tokens=tokens)
        assert [each.tokens for each in found.strategies] == [60, 70]
        assert [each.calls for each in found.strategies] == [2, 2]
        assert [each.on_front for each in found.strategies] == [True, False]

    def test_rows_of_other_questions_and_strategies_do_not_count(self):
        whole = comparison(CLEAR)
        stray = Question(id="stray", text="?", reference="1")
        more = (row(stray, "direct", "+", 1), row(whole.questions[0], "elsewhere", "+", 1))
        metric = find_metric("exact")
        assert summarize(whole.model_copy(update={"rows": whole.rows + more}), metric) == summarize(
            whole, metric
        )

    def test_needed_is_more_than_there_were(self):
        found = summary({"direct": "-----", "chain-of-thought": "+++++"}).differences[0]
        assert not found.sure  # p is 0.0625
        assert found.needed == 6


class TestSentences:
    def test_a_clear_difference(self):
        (claim,) = said({"direct": "-" * 70 + "+" * 30, "self-consistency@16": "+" * 100}, "better")
        pattern = r"self-consistency@16 is better than direct by 70 points \[\d+, \d+\]\."
        assert re.fullmatch(pattern, claim)

    def test_a_clear_loss_is_told_with_an_interval_that_is_turned_round(self):
        (claim,) = said(CLEAR, "worse")
        low, high = map(int, re.search(r"by 30 points \[(\d+), (\d+)\]", claim).groups())
        assert 15 < low < 30 < high < 45

    def test_an_unclear_difference_says_how_many_questions_would_do(self):
        (claim,) = said(UNCLEAR, "can't be told from")
        needed = summary(UNCLEAR).differences[0].needed
        about = re.search(r"about ([\d,]+) would be needed\.$", claim)[1].replace(",", "")
        assert "chain-of-thought can't be told from direct on 100 questions: +3 points [" in claim
        assert needed <= int(about) <= 1.1 * needed

    def test_a_small_difference_would_need_too_many_to_count(self):
        verdicts = {"direct": "+-" * 200 + "-", "chain-of-thought": "-+" * 200 + "+"}
        assert "more than 10,000 would be needed" in said(verdicts, "can't be told from")[0]

    def test_no_difference_at_all(self):
        (claim,) = said({"direct": "+-" * 20, "chain-of-thought": "+-" * 20}, "alike")
        assert claim.startswith(
            "chain-of-thought and direct do alike on 40 questions: no difference to be seen [−"
        )

    def test_as_many_gained_as_lost(self):
        (claim,) = said({"direct": "+-" * 9, "chain-of-thought": "-+" * 9}, "can't be told from")
        assert ": 0 points [" in claim and "needed" not in claim

    def test_what_several_comparisons_make_unsure(self):
        verdicts = {"direct": "-" * 7 + "+" * 93} | {
            f"s{i}": "+" * (7 if i == 0 else 0) + "-" * (0 if i == 0 else 7) + "+" * 93
            for i in range(8)
        }
        (claim,) = said(verdicts, "s0 can't")
        assert "not enough for one of 8 comparisons; about" in claim

    def test_rows_that_are_missing(self):
        verdicts = {"direct": "+" * 100, "chain-of-thought": "-" * 40}
        assert said(verdicts, "on the 40 questions that both have answered.")
        assert "chain-of-thought has answered 40 of 100 questions so far." in said(verdicts)
        unsure = {"direct": "+-" * 50, "chain-of-thought": "-+" * 5}
        assert said(
            unsure, "can't be told from direct on the 10 questions that both have answered:"
        )

    def test_one_question(self):
        found = said({"direct": "+", "chain-of-thought": "!", "self-consistency@16": "+"})
        assert found[0] == "direct is right on 1 of 1 question: 100 % [21, 100]."
        assert "chain-of-thought can't be told from direct on 1 question: −100 points [" in found[1]
        assert "chain-of-thought failed on 1 question, counted as wrong." in found
        assert not [each for each in found if "1 questions" in each]

    def test_texts_that_were_cut_off(self):
        found = comparison({"direct": "++--", "self-consistency@2": "++++"})
        rows = [
            row.model_copy(update={"drafts": drafts(row, cut=row.strategy == "direct")})
            for row in found.rows
        ]
        told = summarize(found.model_copy(update={"rows": tuple(rows)}), find_metric("exact"))
        assert [each.truncated for each in told.strategies] == [0.5, 0]
        assert told.sentences[-1] == (
            "50 % of the texts of direct reached max_tokens; a larger one may let them end."
        )

    def test_steps_of_a_search_were_not_cut_off(self):
        found = comparison({"beam-search": "++"})
        steps = [
            [each.model_copy(update={"live": False}) for each in drafts(row, cut=True)]
            for row in found.rows
        ]
        rows = [
            row.model_copy(update={"drafts": tuple(own)})
            for row, own in zip(found.rows, steps, strict=True)
        ]
        told = summarize(found.model_copy(update={"rows": tuple(rows)}), find_metric("exact"))
        assert not [each for each in told.sentences if "max_tokens" in each]

    def test_requests_that_failed(self):
        found = comparison({"direct": "++-"})
        first, *rest = found.rows
        rows = (first.model_copy(update={"lost": "connection refused"}), *rest)
        told = summarize(found.model_copy(update={"rows": rows}), find_metric("exact")).sentences
        assert "Requests of direct failed on 1 question; the same command repeats them." in told

    def test_one_strategy(self):
        assert said({"direct": "+-"}) == ["direct is right on 1 of 2 questions: 50 % [9, 91]."]

    def test_thousands_have_separators(self):
        assert "1,200 of 1,500 questions" in said({"direct": "+" * 1200 + "-" * 300})[0]

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.text("+-?! ", min_size=1, max_size=12), min_size=1, max_size=4))
    def test_any_comparison_has_whole_sentences(self, signs):
        found = summary({f"s{i}": each for i, each in enumerate(signs)})
        for each in [*found.sentences, *found.equal_budget]:
            assert each[-1] == "." and "nan" not in each and " 1 questions" not in each
            assert "  " not in each and "[]" not in each and "None" not in each


class TestOverthinking:
    def test_is_named_where_losses_exceed_gains_beyond_chance(self):
        found = summary(CLEAR)
        assert found.overthinking == ("chain-of-thought",)
        assert found.overthought == {"chain-of-thought": tuple(f"q{i}" for i in range(10, 40))}
        claim = "chain-of-thought overthinks: direct does better on 30 questions, and it on 0."
        assert claim in found.sentences

    def test_is_not_named_where_chance_may_have_made_it(self):
        found = summary(UNCLEAR)
        assert found.overthinking == ()
        assert len(found.overthought["chain-of-thought"]) == 5
        assert (
            "Whether more thought than direct harms can't be told: chain-of-thought loses 5 and "
            "gains 8." in found.sentences
        )

    def test_is_not_named_for_a_few_losses_more_than_gains(self):
        found = summary(
            {"direct": "+" * 8 + "-" * 92, "chain-of-thought": "-" * 8 + "+" * 5 + "-" * 87}
        )
        assert found.differences[0].points < 0
        assert found.overthinking == ()
        assert not [each for each in found.sentences if "overthinks" in each]

    def test_losses_are_told_beside_greater_gains(self):
        verdicts = {"direct": "++" + "-" * 50, "self-consistency@16": "--" + "+" * 50}
        assert (
            "More thought than direct helps on the whole: self-consistency@16 loses 2 and gains 50."
            in said(verdicts)
        )

    def test_is_held_against_the_direct_answer_wherever_it_stands(self):
        verdicts = {"self-consistency@16": CLEAR["chain-of-thought"], "plain": CLEAR["direct"]}
        found = summary(verdicts, tokens={"plain": 60} | TOKENS, graphs={"plain": "direct"})
        assert found.overthinking == ("self-consistency@16",)

    def test_what_costs_no_more_is_no_thought(self):
        found = summary(CLEAR, tokens={"direct": 60, "chain-of-thought": 50})
        assert (found.overthinking, found.overthought) == ((), {})


class TestEqualBudget:
    def test_names_the_best_of_what_costs_no_more(self):
        verdicts = {
            "direct": "+" * 40 + "-" * 60,
            "self-consistency@4": "+" * 60 + "-" * 40,
            "debate": "-" * 50 + "+" * 50,
            "self-consistency@16": "+" * 80 + "-" * 20,
        }
        tokens = {
            "direct": 60,
            "self-consistency@4": 500,
            "debate": 1200,
            "self-consistency@16": 1900,
        }
        (budget,) = summary(verdicts, tokens=tokens).equal_budget
        assert budget.startswith(
            "For no more tokens, self-consistency@4 (500 tokens, 60 %) does at least as well as "
            "debate (1,200 tokens, 50 %: +10 points ["
        )

    def test_says_nothing_where_all_are_on_the_front(self):
        assert summary({"direct": "+-", "chain-of-thought": "++"}).equal_budget == ()


class TestGroups:
    def test_count_the_questions_that_every_strategy_has_answered(self):
        whole = comparison({"direct": "+-+-", "vote": "++  ", "later": ""})
        groups = {"q0": "a", "q1": "a", "q2": "a", "q3": "b"}
        questions = tuple(
            each.model_copy(update={"group": groups[each.id]}) for each in whole.questions
        )
        found = summarize(
            whole.model_copy(update={"questions": questions}), find_metric("exact")
        ).groups
        assert [(each.name, each.questions) for each in found] == [("a", 2), ("b", 0)]
        assert {label: share for label, (share, _, _) in found[0].shares.items()} == {
            "direct": 0.5,
            "vote": 1,
        }
        assert found[1].shares == {}


class TestOtherMetrics:
    def test_estimates(self):
        whole = comparison({"direct": "?" * 40, "chain-of-thought": "?" * 40})
        prices = {
            "direct": lambda i: None if i == 0 else f"${2 * (100 + i):,.2f}",
            "chain-of-thought": lambda i: "no idea" if i == 1 else f"${100 + i + 3}",
        }
        rows = [
            each.model_copy(update={"answer": prices[each.strategy](int(each.question[1:]))})
            for each in whole.rows
        ]
        found = summarize(
            whole.model_copy(update={"rows": tuple(rows)}), find_metric("estimate:20%")
        )
        direct, thought = found.strategies
        assert (direct.right, direct.share, direct.abstained) == (None, 0, 1)
        assert found.measure == "within"
        assert (thought.share, thought.abstained) == (39 / 40, 1)
        assert thought.errors["mae"] == pytest.approx(3)
        assert direct.errors["mae"] == pytest.approx(sum(range(101, 140)) / 39)
        assert 0 < thought.errors["rmsle"] < direct.errors["rmsle"]
        error = found.differences[0].error
        assert error.questions == 38 and error.sure
        assert error.mean == pytest.approx(3 - sum(range(102, 140)) / 38)
        assert found.sentences[0] == "direct is within 20 % on 0 of 40 questions: 0 % [0, 9]."
        text = "\n".join(found.sentences)
        assert (
            "The mean absolute error of chain-of-thought is smaller than that of direct by" in text
        )
        assert "on the 38 questions that both gave a number for." in text
        assert "direct gave no number for 1 question: not within 20 %, and excluded from" in text

    def test_scores_of_parts(self):
        metric = Own("part", lambda answer, reference, question: int(answer) and 0.5)
        found = summarize(comparison({"direct": "-" * 30, "chain-of-thought": "+" * 30}), metric)
        direct, thought = found.strategies
        assert (direct.right, thought.right, thought.share) == (0, None, 0.5)
        assert found.measure == "score"
        assert 0.4 < thought.low < 0.5 < thought.high < 0.6
        assert found.differences[0].points == 50 and found.differences[0].sure
        assert "points" in said_of(found, "better")


def said_of(found, about):
    return next(each for each in found.sentences if about in each)
