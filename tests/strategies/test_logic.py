"""The logic of each strategy on fixed texts: the calls that it makes, in order, are its paper's."""

import pytest

from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import Confidence, parted

QUESTION = "How many are left?"
ACCEPT, REJECT = [9, 1], [1, 9]


def run(strategy, replies, *, choices=(), logprobs=(), models=None, **params):
    model = ScriptedModel(replies, choices=choices, logprobs=logprobs)
    result = load(strategy).run(QUESTION, model=model, models=models, seed=1, **params)
    return result, model


def asked(model):
    """The last turn of every call to generate, and how many samples it was for."""
    return [(call.messages[-1].content, len(call.seeds)) for call in model.calls]


def test_direct_asks_the_question_alone():
    result, model = run("direct", ["4"])
    assert asked(model) == [(QUESTION, 1)]
    assert model.calls[0].sampling.temperature == 0
    assert result.answer.value == "4"


def test_chain_of_thought_adds_the_request_to_reason():
    _, model = run("chain-of-thought", ["So, 4."])
    [(prompt, _)] = asked(model)
    assert prompt.startswith(QUESTION) and "step by step" in prompt


def test_few_shot_shows_worked_examples_first():
    _, model = run("few-shot", ["4"])
    roles = [m.role for m in model.calls[0].messages]
    assert roles == ["user", "assistant"] * 3 + ["user"]
    assert all("The answer is" in m.content for m in model.calls[0].messages[1:-1:2])


def test_self_consistency_samples_once_and_counts():
    result, model = run("self-consistency", ["4", "5", "four? 5", "no idea"], samples=4)
    [(prompt, samples)] = asked(model)
    assert prompt.startswith(QUESTION) and "step by step" in prompt  # paths of reasoning
    assert samples == 4
    assert (result.answer.value, result.answer.votes, result.answer.of) == ("5", 2, 4)
    assert result.answer.tally.abstentions == 1


def test_self_consistency_may_take_the_median():
    result, _ = run(
        "self-consistency", ["10", "11", "900", "900", "12"], samples=5, combine="median"
    )
    assert result.answer.value == "12"


def test_self_consistency_cancels_what_can_no_longer_matter():
    slow = "well " * 40 + "5"
    result, _ = run("self-consistency", ["4", "4", slow], samples=3, stop="decided")
    *whole, cut = result.candidates
    assert [c.finish_reason for c in whole] == ["stop", "stop"]
    assert cut.finish_reason == "cancelled" and not cut.live
    assert (result.answer.value, result.answer.votes, result.answer.of) == ("4", 2, 2)
    assert result.answer.cancelled == 1
    assert result.usage.cancelled_tokens == cut.tokens < 40
    assert result.answer.note == result.answer.tally.note


def test_self_consistency_says_what_a_stop_may_have_done_to_another_vote():
    slow = "well " * 40 + "900"
    result, _ = run(
        "self-consistency", ["4", "4", slow], samples=3, stop="decided", combine="median"
    )
    assert result.answer.note.endswith("1 sample was cancelled that might have changed this vote.")


def test_adaptive_consistency_asks_one_at_a_time_until_it_is_sure():
    """With a uniform prior, four votes to none are the first to pass 0.95: 1 - 2^-5."""
    result, model = run("adaptive-consistency", ["4"] * 16)
    assert [n for _, n in asked(model)] == [1] * 4
    assert result.answer.votes == 4


def test_adaptive_consistency_goes_on_while_it_wavers():
    _, model = run("adaptive-consistency", ["4", "5"] * 4, samples=8)
    assert len(model.calls) == 8


def test_early_stopping_ends_with_the_first_window_that_agrees():
    replies = ["4", "5", "5", "5", "6", "6"]
    result, model = run("early-stopping", replies, samples=6, window=2)
    assert [n for _, n in asked(model)] == [2] * 2
    assert (result.answer.value, result.answer.votes) == ("5", 3)


def sure(logprob=-1.0, **measures):
    return Confidence(mean_logprob=logprob, min_logprob=logprob, **measures)


@pytest.mark.parametrize(("borda", "answer"), [(0.5, "4"), (2.0, "5")])
def test_self_certainty_weighs_votes_by_rank(borda, answer):
    """The likeliest two say 4, the most certain says 5: 1 + 2^p votes against 3^p."""
    known = [
        sure(-0.1, self_certainty=3.0),
        sure(-0.2, self_certainty=5.0),
        sure(-0.9, self_certainty=9.0),
    ]
    result, model = run("self-certainty", ["4", "4", "5"], samples=3, logprobs=known, borda=borda)
    assert [n for _, n in asked(model)] == [3]
    assert model.calls[0].sampling.confidence
    assert result.answer.value == answer
    weights = {each.value: each.weight for each in result.answer.tally.classes}
    assert weights == pytest.approx({"4": 1 + 2**borda, "5": 3**borda})


@pytest.mark.parametrize(
    ("confidence", "keep", "answer", "weights"),
    [
        ("tail", 1.0, "5", {"4": 3.0, "5": 8.0}),
        ("tail", 0.3, "5", {"5": 8.0}),
        ("lowest_group", 1.0, "4", {"4": 10.0, "5": 2.0}),
        ("lowest_group", 0.3, "4", {"4": 6.0}),
    ],
)
def test_deepconf_weighs_the_most_confident_samples(confidence, keep, answer, weights):
    known = [
        sure(tail=1.0, lowest_group=6.0),
        sure(tail=2.0, lowest_group=4.0),
        sure(tail=8.0, lowest_group=2.0),
    ]
    result, model = run(
        "deepconf",
        ["4", "4", "5"],
        samples=3,
        logprobs=known,
        confidence=confidence,
        keep=keep,
    )
    assert [n for _, n in asked(model)] == [3]
    assert model.calls[0].sampling.confidence
    assert result.answer.value == answer
    assert {c.value: c.weight for c in result.answer.tally.classes} == pytest.approx(weights)


def test_router_answers_at_once_where_the_model_is_sure():
    result, model = run("router", ["It is 4"], logprobs=[-0.1])
    assert asked(model) == [(QUESTION, 1)]
    assert model.calls[0].sampling.temperature == 0
    assert result.answer.value == "4"


def test_router_lets_the_quick_answer_vote_where_the_model_is_not_sure():
    replies = ["It is 4", "It is 5", "It is 4", "It is 5", "It is 4"]
    result, model = run("router", replies, logprobs=[-0.9], samples=4)
    (quick, one), (think, many) = asked(model)
    assert quick == QUESTION and think.startswith(QUESTION) and "step by step" in think
    assert (one, many) == (1, 4)
    assert (result.answer.value, result.answer.votes, result.answer.of) == ("4", 3, 5)


def test_universal_self_consistency_shows_all_and_takes_the_likeliest_label():
    result, model = run(
        "universal-self-consistency", ["one", "two", "three"], samples=3, choices=[[1, 7, 2]]
    )
    assert [n for _, n in asked(model)] == [3]
    assert result.answer.text == "two"
    assert [c.live for c in result.candidates] == [False, True, False]
    assert [c.score for c in result.candidates] == [0.1, 0.7, 0.2]


def test_universal_self_consistency_reads_a_written_choice_that_is_greedy():
    replies = ["It is 4", "It is 5", "Answer B."]
    result, model = run("universal-self-consistency", replies, samples=2, verdict="text")
    assert model.calls[-1].sampling.temperature == 0
    assert result.answer.value == "5"


@pytest.mark.parametrize(
    ("said", "live", "told"),
    [
        ("Answer B agrees with A and C.", ["It is 5"], {}),
        (
            "A and C agree.",
            ["It is 4", "It is 5", "It is 6"],
            {"choose.0": ("'A and C agree.' chooses no label",)},
        ),
    ],
)
def test_universal_self_consistency_takes_what_is_chosen_and_not_what_it_is_compared_with(
    said, live, told
):
    replies = ["It is 4", "It is 5", "It is 6", said]
    result, _ = run("universal-self-consistency", replies, samples=3, verdict="text")
    assert [c.text for c in result.candidates if c.live] == live
    assert result.failures == told


def test_universal_self_consistency_chooses_in_groups_where_there_are_many():
    choices = [[1] * 7 + [5], [5, 1], [1, 2]]
    replies = [str(n) for n in range(10)]
    result, _ = run("universal-self-consistency", replies, samples=10, choices=choices)
    assert result.answer.text == "8"
    assert result.usage.model_calls == 4


def test_universal_self_consistency_may_show_the_answers_in_several_orders():
    """The first label is favoured; in both orders together, the second answer is."""
    shown = []

    def weigh(messages, options):
        shown.append(messages[-1].content)
        return [6, 4] if shown[-1].index("one") < shown[-1].index("two") else [8, 2]

    result, _ = run(
        "universal-self-consistency", ["one", "two"], samples=2, orders=2, choices=weigh
    )
    assert len(shown) == 2
    assert [c.score for c in result.candidates] == pytest.approx([0.4, 0.6])
    assert result.answer.text == "two"


def test_best_of_n_by_judge_asks_once_for_each():
    replies = ["It is 4", "It is 5", "It is 6"]
    result, _ = run(
        "best-of-n", replies, samples=3, scorer="judge", choices=[[1, 3], [3, 1], [2, 2]]
    )
    assert result.answer.value == "5"
    assert [c.score for c in result.candidates] == [0.25, 0.75, 0.5]
    assert result.usage.model_calls == 4


def test_best_of_n_by_scale_asks_for_reasons_by_a_rubric():
    """The scores of 1 to 10 are 2 and 9; the reasons are critiques."""
    two, nine = ([float(n == best) for n in range(1, 11)] for best in (2, 9))
    result, model = run(
        "best-of-n",
        ["It is 4", "It is 5", "One is forgotten.", "All are there."],
        samples=2,
        scorer="scale",
        reason=True,
        rubric="Rate the count alone.",
        choices=[two, nine],
    )
    assert [n for _, n in asked(model)] == [2, 1, 1]
    assert all("Rate the count alone." in prompt for prompt, _ in asked(model)[1:])
    assert model.calls[1].sampling.max_tokens == 256
    assert [c.score for c in result.candidates] == [2, 9]
    assert [c.text for c in result.critiques] == ["One is forgotten.", "All are there."]
    assert result.answer.value == "5"


def test_best_of_n_pairwise_is_a_knock_out_seen_from_both_sides():
    """1 beats 0 and 2 beats 3 in both orders; then 2 beats 1, favoured from one side only."""
    choices = [[1, 9], [9, 1], [9, 1], [1, 9], [6, 4], [9, 1]]
    replies = ["It is 0", "It is 1", "It is 2", "It is 3"]
    result, _ = run("best-of-n", replies, samples=4, scorer="pairwise", choices=choices)
    assert [c.score for c in result.candidates] == [0, 1, 2, 0]
    assert result.answer.value == "2"
    assert result.usage.model_calls == 1 + 2 * 3


def test_best_of_n_pairwise_goes_on_where_a_preference_can_not_be_read():
    """1 beats 0; 2 goes on against 3; then 2 is preferred once, and 1 never."""
    replies = [f"It is {n}" for n in range(4)] + ["B", "A", "Hm", "Hm", "B", "Hm"]
    result, _ = run("best-of-n", replies, samples=4, scorer="pairwise", verdict="text")
    assert [c.score for c in result.candidates] == [0, 1, 2, 0]
    assert result.answer.value == "2"


def test_best_of_n_by_log_probability_takes_the_likeliest():
    replies = ["It is 4", "It is 5", "It is 6"]
    result, model = run("best-of-n", replies, samples=3, logprobs=[-0.5, -0.1, -0.9])
    assert result.answer.value == "5"
    assert len(model.calls) == result.usage.model_calls == 1


def test_best_of_n_by_heuristic_prefers_a_text_that_answers():
    result, _ = run("best-of-n", ["no idea at all", "so 4"], samples=2, scorer="heuristic")
    assert result.answer.value == "4"


def test_self_refine_feeds_back_until_the_critic_accepts():
    replies = ["It is 4", "You forgot one.", "It is 5", "Good.", "never asked"]
    result, model = run("self-refine", replies, choices=[REJECT, ACCEPT], rounds=3)
    draft, critic, revise, again = [prompt for prompt, _ in asked(model)]
    assert draft == QUESTION
    assert "It is 4" in critic and "It is 5" in again
    assert "It is 4" in revise and "You forgot one." in revise
    assert result.answer.value == "5"
    assert [c.accepted for c in result.critiques] == [False, True]


def test_self_refine_shows_a_rewrite_all_drafts_with_what_was_said_of_them():
    replies = ["It is 4", "One is missing.", "It is 5", "Now two.", "It is 6", "Fine."]
    _, model = run("self-refine", replies, choices=[REJECT, REJECT, ACCEPT], rounds=3)
    _, _, first, _, second, _ = [prompt for prompt, _ in asked(model)]
    assert "earlier" not in first and first.count("A critic") == 1
    said = ["It is 4", "One is missing.", "It is 5", "Now two."]
    places = [second.index(text) for text in said]
    assert places == sorted(places)


def test_self_refine_stops_when_the_answer_repeats():
    replies = ["It is 4", "No.", "It is surely 4", "No."]
    result, model = run("self-refine", replies, choices=[REJECT, REJECT], rounds=5)
    assert len(model.calls) == 4
    assert result.answer.value == "4"


def test_self_refine_ends_with_its_rounds():
    replies = ["It is 4", "No.", "It is 5", "No.", "It is 6", "No."]
    result, model = run("self-refine", replies, choices=[REJECT] * 3, rounds=2)
    assert len(model.calls) == 6
    assert result.answer.value == "6"


def test_self_refine_by_verdict_keeps_what_the_critic_likes_best():
    replies = ["It is 4", "Hm.", "It is 5", "Worse."]
    result, _ = run("self-refine", replies, choices=[[4, 6], [1, 9]], rounds=1, keep="both")
    assert result.answer.value == "4"


def test_self_refine_reads_the_verdict_in_the_review_of_a_model_without_probabilities():
    replies = ["It is 4", "Is it correct? One is forgotten.\nWrong", "It is 5", "Good.\ncorrect"]
    result, model = run("self-refine", replies, verdict="text")
    assert [c.accepted for c in result.critiques] == [False, True]
    assert result.answer.value == "5"
    critics = [prompt for prompt, _ in asked(model)][1::2]
    assert all(prompt.endswith("on a line of its own: correct or wrong.") for prompt in critics)


def test_self_refine_keeps_a_better_form_by_the_heuristic():
    replies = ["It is 4", "Hm.", "no idea"]
    result, _ = run(
        "self-refine", replies, choices=[REJECT], rounds=1, keep="better", by="heuristic"
    )
    assert result.answer.value == "4"


def test_a_critic_may_be_another_model():
    critic = ScriptedModel(["Fine."], choices=[ACCEPT], name="critic")
    _, drafter = run("self-refine", ["It is 4"], models={"critic": critic})
    assert (len(drafter.calls), len(critic.calls)) == (1, 1)


def verifier(said):
    """Verdicts by the beginning of the review, and of the check of the review by its words."""

    def weigh(messages, options):
        turns, begun = parted(messages)
        if options == ("Yes", "No"):
            known = next(
                each for each in said if each in turns[-1].content.split("critic says:")[1]
            )
            return said[known][1]
        return said[next(each for each in said if begun.startswith(each))][0]

    return weigh


def test_self_verify_pool_checks_each_draft_keeps_the_best_and_refines_with_the_faults():
    replies = ["It is 1", "It is 2", "a", "b", "c", "The sum is off.", "It is 3", "e", "f"]
    there = [9, 1]
    said = {
        "a": ([2, 8], there),
        "b": ([2, 8], there),
        "c": ([4, 6], there),
        "The sum": ([3, 7], there),
        "e": ([9, 1], there),
        "f": ([8, 2], there),
    }
    settings = {"drafts": 2, "checks": 2, "best": 1, "rounds": 1, "pairs": 1}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert [n for _, n in asked(model)] == [2, 2, 2, 1, 2]
    refine = model.calls[3].messages[-1].content
    assert "It is 2" in refine and "c" in refine
    assert result.answer.value == "3"
    assert result.usage.model_calls == 5 + 6 + 4  # the two that accept are not checked themselves


def test_self_verify_pool_pairs_a_draft_with_each_check_that_rejects_it():
    replies = ["It is 1", "fine", "off by one", "It is 3", "e", "e", "It is 4", "e", "e"]
    said = {"fine": ([9, 1], [1, 1]), "off by one": ([0, 9], [1, 0]), "e": ([9, 1], [1, 1])}
    settings = {"drafts": 1, "checks": 2, "best": 1, "rounds": 1}
    _, model = run("self-verify-pool", replies, choices=verifier(said), pairs=1, **settings)
    (refine,) = [call for call in model.calls if "better answer" in call.messages[-1].content]
    assert "off by one" in refine.messages[-1].content
    assert "fine" not in refine.messages[-1].content
    replies = ["It is 1", "fine", "off by one", "It is 3", "It is 4", "e", "e", "e", "e"]
    _, model = run("self-verify-pool", replies, choices=verifier(said), pairs=2, **settings)
    pairs = [p for p, _ in asked(model) if "better answer" in p]
    assert ["off by one" in p for p in pairs] == [True, False]
    assert ["fine" in p for p in pairs] == [False, True]


def test_self_verify_pool_ends_as_soon_as_one_draft_passes_all_its_checks():
    replies = ["It is 1", "It is 2", "bad", "bad", "good", "good"]
    said = {"bad": ([0, 9], [1, 0]), "good": ([9, 1], [1, 1])}
    settings = {"drafts": 2, "checks": 2, "best": 2, "pairs": 1, "rounds": 3}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert [n for _, n in asked(model)] == [2, 2, 2]
    assert result.answer.value == "2"


@pytest.mark.parametrize("best", [1, 2])
def test_self_verify_pool_answers_with_the_draft_that_passed(best):
    """Though the mean of the other's checks is higher: 0.72 to 0.575."""
    replies = ["It is 1", "It is 2", "good", "fine", "great", "off by one"]
    said = {"good": ([55, 45], []), "fine": ([60, 40], []), "great": ([98, 2], [])}
    said |= {"off by one": ([46, 54], [1, 0])}
    settings = {"drafts": 2, "checks": 2, "best": best, "pairs": 1, "rounds": 1}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert result.answer.value == "1"
    assert len(model.calls) == 3


def test_self_verify_pool_rewrites_what_one_of_three_checks_rejects():
    replies = ["It is 1", "good", "good", "bad", "It is 3", "good", "good", "good"]
    said = {"bad": ([0, 9], [1, 0]), "good": ([9, 1], [1, 1])}
    settings = {"drafts": 1, "checks": 3, "best": 1, "pairs": 1, "rounds": 2}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert [n for _, n in asked(model)] == [1, 3, 1, 3]
    assert "bad" in model.calls[2].messages[-1].content
    assert result.answer.value == "3"


def test_self_verify_pool_drops_faults_that_are_not_there():
    """The check of the check says that nothing is off, so the draft passes."""
    said = {"off by one": ([0, 9], [0, 1])}
    replies = ["It is 1", "off by one", "off by one"]
    settings = {"drafts": 1, "checks": 2, "best": 1, "rounds": 1}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert len(model.calls) == 2
    assert [c.accepted for c in result.critiques] == [True, True]
    assert [c.probability for c in result.critiques] == [1, 1]


def test_self_verify_pool_checks_no_draft_that_was_cut_off_beside_a_finished_one():
    replies = ["It is 1", "so " * 9, "", "off by one", "It is 4", "It is 5", "good", "good"]
    said = {"off by one": ([0, 9], [1, 0]), "good": ([9, 1], [])}
    settings = {"drafts": 3, "checks": 1, "best": 2, "pairs": 1, "rounds": 1, "max_tokens": 5}
    result, model = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert [n for _, n in asked(model)] == [3, 1, 1, 1, 1, 1]
    assert [(c.candidate, c.text) for c in result.critiques[:3]] == [
        ("draft.0.0", "off by one"),
        ("draft.0.1", "The answer was cut off before its end."),
        ("draft.0.2", "There is no answer."),
    ]
    assert not any(c.accepted for c in result.critiques[:3])


def test_self_verify_pool_checks_drafts_that_were_all_cut_off():
    replies, said = ["so " * 9, "so " * 9, "good", "good"], {"good": ([9, 1], [])}
    settings = {"drafts": 2, "checks": 1, "max_tokens": 5}
    result, _ = run("self-verify-pool", replies, choices=verifier(said), **settings)
    assert [c.text for c in result.critiques] == ["good", "good"]


def test_self_verify_pool_reads_both_verdicts_in_texts_of_a_model_without_probabilities():
    replies = ["It is 1", "Off.\nWrong", "Yes, they are.", "It is 2", "Good.\ncorrect"]
    settings = {"drafts": 1, "checks": 1, "best": 1, "rounds": 1, "verdict": "text"}
    result, model = run("self-verify-pool", replies, **settings)
    assert [n for _, n in asked(model)] == [1] * 5
    assert [c.accepted for c in result.critiques] == [False, True]
    assert result.answer.value == "2"


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("**Yes**, the faults are there.", False),
        ("The faults are really there. Yes.", False),
        ("No, nothing is off.", True),
        ("Hm.", False),  # can't be read, so the critique stands
    ],
)
def test_self_verify_pool_reads_the_check_of_a_check_wherever_it_is_said(said, accepted):
    settings = {"drafts": 1, "checks": 1, "rounds": 0, "verdict": "text"}
    result, model = run("self-verify-pool", ["It is 1", "Off.\nWrong", said], **settings)
    assert [c.accepted for c in result.critiques] == [accepted]
    assert model.calls[-1].sampling.template == {"enable_thinking": False}
    told = {"check.0": ("'Hm.' says neither Yes nor No",)} if said == "Hm." else {}
    assert result.failures == told


def test_a_written_review_without_a_verdict_rejects_and_is_told():
    replies = ["It is 4", "All seems fine.", "It is 4", "Good.\ncorrect"]
    result, _ = run("self-refine", replies, verdict="text", rounds=1)
    assert [c.accepted for c in result.critiques] == [False, True]
    assert result.failures == {"critic.0": ("'All seems fine.' has no verdict, so it rejects",)}


def test_parallel_think_reads_all_lines_together():
    result, model = run("parallel-think", ["x 1", "y 2", "z 3", "It is 2"], lines=3)
    (_, first), (together, last) = asked(model)
    assert (first, last) == (3, 1)
    assert all(line in together for line in ("x 1", "y 2", "z 3"))
    assert result.answer.value == "2"
    assert result.candidates[-1].parents == tuple(c.id for c in result.candidates[:3])


def test_chain_of_verification_answers_its_checks_apart_from_the_draft():
    replies = ["It is 4", "1. Were there 9?\n2. Did 4 go?", "Yes, 9.", "No, 3.", "It is 6"]
    result, model = run("chain-of-verification", replies)
    draft, plan, one, two, final = [prompt for prompt, _ in asked(model)]
    assert draft == QUESTION and "It is 4" in plan
    assert "Were there 9?" in one and "Did 4 go?" in two
    assert "It is 4" not in one + two and QUESTION not in one + two
    assert "Did 4 go? No, 3." in final and "It is 4" in final
    assert result.answer.value == "6"


def test_chain_of_verification_answers_its_checks_apart_from_the_conversation():
    turns = [("user", "Who was born there?"), ("assistant", "X and Y."), ("user", QUESTION)]
    model = ScriptedModel(["It is 4", "1. Was X born there?", "Yes.", "It is 4"])
    question = [{"role": role, "content": text} for role, text in turns]
    load("chain-of-verification").run(question, model=model, seed=1)
    assert [len(call.messages) for call in model.calls] == [3, 3, 1, 3]


def test_chain_of_verification_without_checks_answers_with_its_draft():
    result, model = run("chain-of-verification", ["It is 4", ""])
    assert len(model.calls) == 2
    assert result.answer.value == "4"


@pytest.mark.parametrize(
    ("strategy", "before", "most"),
    [("chain-of-verification", ["It is 4"], "checks"), ("least-to-most", [], "steps")],
)
def test_a_plan_has_room_for_as_many_questions_as_may_be_asked(strategy, before, most):
    plan = [f"{n}. {'so ' * 12}?" for n in range(1, 17)]
    replies = [*before, "\n".join(plan), *["Yes."] * 16, "It is 4"]
    _, model = run(strategy, replies, **{most: 16})
    assert len(model.calls) == len(replies)


def test_debate_shows_each_agent_the_answers_of_the_others():
    replies = ["It is 1", "It is 2", "It is 3", "It is 2", "It is 2", "It is 2"]
    result, model = run("debate", replies, agents=3, rounds=3)
    assert [n for _, n in asked(model)] == [3, 1, 1, 1]
    for own, (prompt, _) in enumerate(asked(model)[1:], 1):
        told, mine = prompt.split("You answered:")
        assert f"It is {own}" in mine and f"It is {own}" not in told
        assert all(f"It is {other}" in told for other in {1, 2, 3} - {own})
    assert (result.answer.value, result.answer.votes) == ("2", 3)


def test_debate_ends_with_first_answers_that_agree():
    result, model = run("debate", ["It is 2"] * 3, agents=3, rounds=2)
    assert len(model.calls) == 1
    assert (result.answer.value, result.answer.votes) == ("2", 3)


def test_debate_goes_on_for_its_rounds_while_they_differ():
    replies = ["It is 1", "It is 2"] * 4
    _, model = run("debate", replies, agents=2, rounds=3)
    assert len(model.calls) == 1 + 2 * 3


def long_winded(messages, seed):
    return f"{'so ' * 60}The answer is {seed % 7919}."


def test_debate_shortens_answers_that_do_not_fit_together():
    model = ScriptedModel(long_winded, context_length=300)
    result = load("debate").run(QUESTION, model=model, seed=1, agents=6, rounds=1, max_tokens=80)
    assert len(model.calls) == 7 and not result.failures
    assert all("The answer is" in prompt for prompt, _ in asked(model)[1:])


def test_self_refine_leaves_out_the_oldest_drafts_that_do_not_fit():
    model = ScriptedModel(long_winded, choices=lambda *_: REJECT, context_length=400)
    result = load("self-refine").run(QUESTION, model=model, seed=1, rounds=4, max_tokens=80)
    rewrites = [prompt for prompt, _ in asked(model) if "Write a better answer" in prompt]
    assert [prompt.count("A critic said") for prompt in rewrites] == [0, 1, 1, 1]
    assert not result.failures


@pytest.mark.parametrize("strategy", ["tree-of-thoughts", "beam-search"])
def test_a_branch_that_fills_the_context_is_kept_as_it_is(strategy):
    replies = ["so " * 20 + "\n"] * 3
    width = "breadth" if strategy == "tree-of-thoughts" else "width"
    model = ScriptedModel(replies, choices=lambda *_: [1, 1], context_length=80)
    settings = {"depth": 6, "children": 1, width: 1, "max_tokens": 20}
    result = load(strategy).run(QUESTION, model=model, seed=1, **settings)
    assert len(result.answer.text.split()) == 60
    assert result.failures["grow.3"][0].startswith("grow.2.0 is kept as it is: ")


def test_a_first_step_whose_prompt_does_not_fit_is_an_error():
    with pytest.raises(PromptTooLong):
        load("beam-search").run(QUESTION, model=ScriptedModel([""], context_length=10), seed=1)


def test_chain_of_verification_plans_the_checks_of_a_long_draft_by_its_end():
    draft = "so " * 100 + "It is 4"
    model = ScriptedModel([draft, "1. Is it?", "Yes."], context_length=120)
    result = load("chain-of-verification").run(QUESTION, model=model, seed=1, max_tokens=110)
    plan = model.calls[1].messages[-1].content
    assert "…" in plan and "It is 4" in plan
    assert result.answer.value == "4"


def test_least_to_most_answers_without_what_does_not_fit():
    plan = f"1. {'How ' * 100}?"
    model = ScriptedModel([plan, "It is 4"], context_length=100)
    result = load("least-to-most").run(QUESTION, model=model, seed=1)
    assert result.answer.value == "4"
    assert result.failures["solve.0"][0].startswith("nothing was asked for 'solved': ")


def test_a_rewrite_that_does_not_fit_at_all_leaves_the_answer_as_it_is():
    drafter = ScriptedModel(["It is 4"], context_length=30)
    critic = ScriptedModel(["well " * 40], choices=[REJECT] * 2, name="critic")
    models = {"critic": critic}
    result = load("self-refine").run(QUESTION, model=drafter, models=models, seed=1, rounds=1)
    assert result.answer.value == "4"
    ((failure,),) = result.failures.values()
    assert failure.startswith("draft.0.0 is kept as it is: ")


@pytest.mark.parametrize(
    ("strategy", "replies", "settings"),
    [
        ("self-refine", ["It is 4", "No.", "", "No."], {"rounds": 1}),
        ("chain-of-verification", ["It is 4", "1. Is it so?", "Yes.", " "], {}),
        ("debate", ["It is 4", "It is 5", "", ""], {"agents": 2, "rounds": 1}),
        ("parallel-think", ["It is 4", "It is 4", ""], {"lines": 2}),
        ("mixture-of-agents", ["It is 4"] * 3 + [""], {"layers": 1}),
    ],
)
def test_a_model_that_writes_nothing_leaves_the_answers_as_they_are(strategy, replies, settings):
    result, _ = run(strategy, replies, choices=[REJECT] * 2, **settings)
    assert result.answer.value == "4"
    assert any("the model wrote nothing" in each for [each, *_] in result.failures.values())


@pytest.mark.parametrize("keep", ["always", "better", "both"])
@pytest.mark.parametrize(
    ("draft", "live"), [("It is 4", ["It is 4"]), ("so " * 9, ["So it is then as"])]
)
def test_a_rewrite_that_is_cut_off_replaces_no_finished_draft(keep, draft, live):
    """One that was cut off too it may replace."""
    replies = [draft, "No.", "So it is then as it was", "No."]
    settings = {"choices": [REJECT, [2, 8]], "logprobs": [-0.9, -0.9, -0.1], "max_tokens": 5}
    result, _ = run("self-refine", replies, keep=keep, rounds=1, **settings)
    assert [c.text for c in result.candidates if c.live] == live
    told = ("draft.0.0 is kept as it is: its rewrite was cut off",)
    assert result.failures.get("revise.0", ()) == (told if draft == "It is 4" else ())


def test_debate_shows_no_answer_that_is_none():
    _, model = run("debate", ["It is 1", "", "It is 3"] + ["It is 1"] * 3, rounds=1)
    assert [p.count("Another person answered") for p, _ in asked(model)[1:]] == [1, 2, 1]


def test_best_of_n_prefers_any_text_to_none():
    replies, choices = ["", "It is 5"], [[9, 1], [1, 9]]
    result, _ = run("best-of-n", replies, samples=2, scorer="judge", choices=choices)
    assert result.answer.value == "5"


def test_mixture_of_agents_lets_each_proposer_write_out_of_the_layer_before():
    names = ("first", "second", "third")
    roles = {
        name: ScriptedModel([f"{name} {layer}" for layer in "abc"], name=name) for name in names
    }
    roles["aggregator"] = ScriptedModel(["It is 7"], name="aggregator")
    result, _ = run("mixture-of-agents", [], models=roles, layers=3)
    for name in names:
        question, *layers = [call.messages[-1].content for call in roles[name].calls]
        assert question == QUESTION
        for before, prompt in zip("ab", layers, strict=True):
            assert all(f"{other} {before}" in prompt for other in names)
    (last,) = roles["aggregator"].calls
    assert last.messages[0].role == "system"
    assert all(f"{name} c" in last.messages[-1].content for name in names)
    assert result.answer.value == "7"
    assert result.usage.model_calls == 1 + 3 * 3


def test_mixture_of_agents_goes_on_without_a_proposer_that_fails():
    down = ModelError("the endpoint is down")
    roles = {"first": ScriptedModel([down] * 2), "second": ScriptedModel(["It is 4", "It is 5"])}
    roles["third"] = ScriptedModel(["It is 6", down])
    result, model = run("mixture-of-agents", ["It is 5"], models=roles, layers=2)
    (layer, _) = asked(roles["second"])[1]
    assert "It is 4" in layer and "It is 6" in layer and "3." not in layer
    assert "It is 5" in asked(model)[0][0]
    assert result.answer.value == "5"
    assert result.failures == {"propose.0": (str(down),), "layer.0": (str(down),) * 2}


@pytest.mark.parametrize(
    "third", ["openai:x@http://127.0.0.1:9/v1", ScriptedModel(["It is 7"] * 2, context_length=3)]
)
def test_mixture_of_agents_goes_on_without_a_model_that_can_not_take_the_question(third):
    roles = {"first": ScriptedModel(["It is 4", "It is 5"]), "third": third}
    roles["second"] = ScriptedModel(["It is 6", "It is 5"])
    result, _ = run("mixture-of-agents", ["It is 5"], models=roles, layers=2)
    assert result.answer.value == "5"
    assert list(result.failures) == ["propose.0", "layer.0"]


def test_mixture_of_agents_whose_proposers_all_fail_is_an_error():
    roles = {name: ScriptedModel([ModelError("down")]) for name in ("first", "second", "third")}
    with pytest.raises(ModelError, match="node 'propose': down"):
        run("mixture-of-agents", [], models=roles)


def test_tree_of_thoughts_expands_values_and_keeps_the_best_level_by_level():
    replies = ["a\n", "b\n", "c\n", "d\n", "The answer is 4."]
    choices = [[1, 9], [8, 2], [7, 3], [1, 9], [5, 5]]
    result, model = run(
        "tree-of-thoughts", replies, choices=choices, depth=2, breadth=1, children=2
    )
    assert [call.prefix for call in model.calls] == ["", "b\n", "b\nc\n"]
    assert [len(call.seeds) for call in model.calls] == [2, 2, 1]
    assert "\n" in model.calls[0].sampling.stop and "\n" not in model.calls[-1].sampling.stop
    assert result.answer.text == "b\nc\nThe answer is 4."


def test_tree_of_thoughts_leaves_a_finished_branch_alone():
    replies = ["The answer is 4.", "b", "The answer is 5."]
    choices = [[9, 1], [1, 9], [9, 1]]
    result, model = run(
        "tree-of-thoughts", replies, choices=choices, depth=3, breadth=1, children=2
    )
    assert len(model.calls) == 1
    assert result.answer.value == "4"


def test_tree_of_thoughts_keeps_no_clones_of_what_the_model_ended():
    replies = [r"So \boxed{18}", "b\n", "c\n", "d\n", "e", "f"]
    choices = [[9, 1], [5, 5], [4, 6], [1, 9]] + [[1, 1]] * 4
    result, model = run(
        "tree-of-thoughts", replies, choices=choices, depth=2, breadth=2, children=2
    )
    assert [call.prefix for call in model.calls] == ["", "b\n", "b\nc\n"]
    assert [c.text for c in result.candidates].count(r"So \boxed{18}") == 1


def test_beam_search_keeps_the_width_and_asks_no_judge():
    replies = ["a\n", "b\n", "c\n", "d\n", "It is 1", "It is 2"]
    result, model = run("beam-search", replies, depth=2, width=1, children=2)
    assert [call.prefix for call in model.calls] == ["", "a\n", "a\nc\n"]
    assert result.usage.model_calls == 3


def test_beam_search_goes_on_from_the_likeliest_branch_by_all_of_its_tokens():
    """Level two ends with means of -1 (a c: -0.2 and -1.8) and -0.8 (b d: -0.6 and -1.0)."""
    replies = ["a\n", "b\n", "c\n", "x\n", "d\n", "y\n", "It is 1", "It is 2"]
    logprobs = [-0.2, -0.6, -1.8, -9, -1.0, -9, -0.5, -0.5]
    result, model = run("beam-search", replies, logprobs=logprobs, depth=2, width=2, children=2)
    assert [call.prefix for call in model.calls[1:3]] == ["a\n", "b\n"]
    assert [call.prefix for call in model.calls[3:]] == ["a\nc\n", "b\nd\n"]
    assert result.answer.text == "b\nd\nIt is 2"


def test_tree_of_thoughts_goes_on_past_a_blank_line():
    replies = ["First.\n", "\nThen 4.\n", "The answer is 4."]
    choices = [[1, 1]] * 3
    result, model = run(
        "tree-of-thoughts", replies, choices=choices, depth=2, breadth=1, children=1
    )
    assert result.answer.text == "First.\n\nThen 4.\nThe answer is 4."
    assert len(model.calls) == 3


def test_monte_carlo_tree_search_by_agreement_asks_all_rollouts():
    """One child at a growth: its agreement is with the rollouts before it."""
    replies = ["a\nb\nIt is 1", "c\nIt is 2", "d\nIt is 2"]
    result, _ = run("monte-carlo-tree-search", replies, steps=3, children=1, scorer="agreement")
    assert [c.score for c in result.candidates] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert result.answer.value == "2"


def test_monte_carlo_tree_search_does_not_grow_what_has_ended():
    """A rollout of one line leaves nothing to rewrite: the tree grows at its root again."""
    result, model = run(
        "monte-carlo-tree-search",
        ["It is 1", "It is 2"],
        choices=[[9, 1], [1, 9]],
        steps=2,
        children=1,
    )
    assert [call.prefix for call in model.calls] == ["", ""]
    assert [c.terminal for c in result.candidates] == [True, True]
    assert result.answer.value == "1"


def test_monte_carlo_tree_search_grows_rollouts_from_fixed_steps():
    """The better rollout of the first growth is grown next, from its first line."""
    replies = ["a\nb\nIt is 1", "c\nd\nIt is 2", "e\nIt is 3", "f\nIt is 4"]
    choices = [[1, 9], [8, 2], [9, 1], [3, 7]]
    result, model = run("monte-carlo-tree-search", replies, choices=choices, steps=2, children=2)
    assert [call.prefix for call in model.calls] == ["", "c\n"]
    assert [c.text for c in result.candidates][2:] == ["c\ne\nIt is 3", "c\nf\nIt is 4"]
    assert result.answer.value == "3"


def test_adaptive_branching_goes_wider_or_deeper_and_gives_the_best():
    replies = [f"It is {n}" for n in range(8)]
    choices = [[n % 5 + 1, 2] for n in range(8)]
    result, model = run("adaptive-branching", replies, choices=choices, steps=8)
    written = [c for c in result.candidates if c.text]
    assert len(written) == len(model.calls) == 8
    assert any(c.parents for c in written), "it went deeper"
    assert sum(not c.parents for c in written) > 1, "it went wider"
    assert result.answer.value == "4"
    assert result.usage.model_calls == 16


def test_plan_and_solve_asks_for_the_plan_in_the_one_prompt():
    _, model = run("plan-and-solve", ["4"])
    [(prompt, _)] = asked(model)
    assert prompt.startswith(QUESTION) and "plan" in prompt


def test_step_back_answers_with_the_principle_in_hand():
    result, model = run("step-back", ["Subtract what is gone.", "It is 4"])
    back, answer = [prompt for prompt, _ in asked(model)]
    assert "Do not answer yet" in back and "Subtract what is gone." in answer
    assert result.answer.value == "4"


def test_least_to_most_solves_in_order_with_the_earlier_answers_in_hand():
    replies = ["1. How many in all?\n2. How many go?", "9.", "5.", "It is 4"]
    result, model = run("least-to-most", replies)
    _, one, two, last = [prompt for prompt, _ in asked(model)]
    assert "How many in all?" in one and "How many go?" not in one
    assert "How many in all? 9." in two and "How many go?" in two
    assert "How many in all? 9." in last and "How many go? 5." in last
    assert result.answer.value == "4"


@pytest.mark.parametrize(
    ("strategy", "before"), [("chain-of-verification", ["It is 4"]), ("least-to-most", [])]
)
def test_a_question_without_an_answer_is_not_shown(strategy, before):
    replies = [*before, "1. How many in all?\n2. How many go?", "", "5.", "It is 4"]
    _, model = run(strategy, replies)
    last = asked(model)[-1][0]
    assert "How many in all?" not in last and "How many go? 5." in last


def test_step_back_without_a_principle_names_none():
    result, model = run("step-back", ["", "It is 4"])
    assert "rinciple" not in asked(model)[-1][0]
    assert result.failures == {"abstract.0": ("the model wrote nothing for 'principle'",)}


def test_least_to_most_answers_at_once_where_nothing_was_broken_down():
    result, model = run("least-to-most", ["", "It is 4"])
    assert len(model.calls) == 2
    assert "Use this" not in asked(model)[-1][0]
    assert result.answer.value == "4"


def test_arithmetic_works_the_calculations_out_and_votes_on_the_results():
    replies = ["a = 9\nanswer = a - 5", "9 - 5 = 3", "import os", "answer = 9 + 5"]
    result, model = run("arithmetic", replies, samples=4)
    assert [n for _, n in asked(model)] == [4]
    assert [c.answer for c in result.candidates] == ["4", "4", None, "14"]
    assert (result.answer.value, result.answer.votes) == ("4", 2)


def test_budget_forcing_extends_a_short_thought_and_closes_it():
    replies = ["I see 9.", "five go", "4"]
    result, model = run("budget-forcing", replies, thinking=20, waits=1)
    close = "\n\nFinal answer:"
    assert [call.prefix for call in model.calls] == [
        "",
        "I see 9.\nWait,",
        f"I see 9.\nWait,five go{close}",
    ]
    assert [call.sampling.max_tokens for call in model.calls] == [20, 17, 128]
    assert result.answer.value == "4"


def test_budget_forcing_cuts_a_long_thought_and_still_gets_an_answer():
    replies = ["on and on and on and on", "hm", "4"]
    result, model = run(
        "budget-forcing", replies, thinking=3, open="<think>\n", close="\n</think>\n", lead="So:"
    )
    assert [call.prefix for call in model.calls] == [
        "<think>\n",
        "<think>\non and on\n</think>\nSo:",
        "<think>\non and on\n</think>\nSo:hm\nSo:",
    ]
    assert result.answer.value == "4"
    assert result.usage.model_calls == 3


def test_budget_forcing_without_a_thought_only_answers():
    result, model = run("budget-forcing", ["4"], thinking=0)
    assert len(model.calls) == 1
    assert result.answer.value == "4"
