"""Verifiers: functions of the host's that judge candidates in score and critique nodes."""

import asyncio
import contextlib
import threading
import time
from typing import Any

import numpy as np
import pytest

import thinkgraph as tg
from thinkgraph.graphs.requirements import Unbound
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.judging.judgement import Judgement

QUESTION = "What is 2 + 3?"
REPLIES = ["It is 5.", "It is 6."]


def verified(
    verifier: Any, node: tg.Node | None = None, replies: Any = REPLIES, **settings: Any
) -> tg.Result:
    graph = tg.Graph("verified")
    check = node or tg.Score(verifier="check", **settings)
    graph.add(draft=tg.Generate(samples=len(replies)), check=check)
    graph.edge(tg.START, "draft", "check", tg.END)
    return graph.run(QUESTION, model=ScriptedModel(replies), seed=1, verifiers={"check": verifier})


def is_five(question: str, answer: str | None) -> bool:
    return "2 + 3" in question and answer == "5"


async def is_five_async(answer: str) -> tuple[bool, str]:
    await asyncio.sleep(0)
    return answer == "5", "It should be 5." if answer != "5" else ""


class FiveChecker:
    async def __call__(self, text: str) -> float:
        return 1.0 if "5" in text else 0.25


@pytest.mark.parametrize(
    ("verifier", "scores"),
    [
        (is_five, [1, 0]),
        (is_five_async, [1, 0]),
        (FiveChecker(), [1, 0.25]),
        (lambda candidate: np.float32(len(candidate.text)), [8, 8]),
        (lambda **known: known["answer"] == "6", [0, 1]),
        (lambda: (0.75, "always"), [0.75, 0.75]),
    ],
)
def test_a_score_is_what_the_function_returns(verifier: Any, scores: list[float]) -> None:
    result = verified(verifier)
    assert [c.score for c in result.candidates] == scores
    assert result.usage.model_calls == 1
    assert not result.failures


def test_its_reason_is_a_critique_that_accepts_or_rejects() -> None:
    right, wrong = verified(is_five_async).critiques
    assert (right.accepted, right.text) == (True, "The verifier check accepts this answer.")
    assert (wrong.accepted, wrong.text) == (False, "It should be 5.")
    assert (wrong.candidate, wrong.probability, wrong.tokens) == ("draft.0.1", 0, 0)


@pytest.mark.parametrize(("threshold", "accepted"), [(None, [True, False]), (0.2, [True, True])])
def test_a_number_is_accepted_from_the_threshold_on(
    threshold: float | None, accepted: list[bool]
) -> None:
    result = verified(FiveChecker(), threshold=threshold)
    assert [c.accepted for c in result.critiques] == accepted


def test_a_critic_may_be_a_verifier() -> None:
    result = verified(is_five_async, tg.Critique(verifier="check"))
    assert [c.accepted for c in result.critiques] == [True, False]
    assert [c.score for c in result.candidates] == [None, None]
    assert result.usage.model_calls == 1


def failing(answer: str) -> bool:
    if answer == "6":
        raise ZeroDivisionError("division by zero")
    return True


def endless(answer: str) -> bool:
    if answer == "6":
        threading.Event().wait()
    return True


def impatient(answer: str) -> bool:
    if answer == "6":
        raise TimeoutError("the service did not answer")
    return True


async def cancelled(answer: str) -> bool:
    if answer == "6":
        raise asyncio.CancelledError("closed")
    return True


async def blocking(answer: str) -> bool:
    if answer == "6":
        time.sleep(0.3)
    return True


async def persistent(answer: str) -> bool:
    if answer == "6":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
    return True


def exhausted(answer: str) -> bool:
    return next(iter([True] if answer != "6" else []))


def ending(answer: str) -> bool:
    if answer == "6":
        raise SystemExit(1)
    return True


@pytest.mark.parametrize(
    ("verifier", "fault"),
    [
        (failing, "failed: ZeroDivisionError: division by zero"),
        (endless, "took longer than 0.2 s"),
        (ending, "SystemExit"),
        (cancelled, "failed: CancelledError: closed"),
        (blocking, "took longer than 0.2 s"),
        (persistent, "took longer than 0.2 s"),
        (exhausted, "failed: RuntimeError: StopIteration()"),
        (impatient, "failed: TimeoutError: the service did not answer"),
        (lambda answer: "yes" if answer == "6" else True, "failed: TypeError: a verifier returns"),
        (lambda answer: float("nan") if answer == "6" else 1.0, "is not finite"),
    ],
)
def test_a_fault_costs_one_judgement_and_is_told(verifier: Any, fault: str) -> None:
    began = time.monotonic()
    result = verified(verifier, timeout=0.2)
    assert time.monotonic() - began < 30
    assert [c.score for c in result.candidates] == [1, None]
    (told,) = result.failures["check.0"]
    assert fault in told and "'check'" in told and "draft.0.1" in told
    assert [c.accepted for c in result.critiques] == [True]


def test_none_is_no_judgement_and_no_fault() -> None:
    result = verified(lambda answer: None if answer == "6" else True)
    assert [c.score for c in result.candidates] == [1, None]
    assert not result.failures


def test_the_event_loop_goes_on_while_it_works() -> None:
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    def slow(text: str) -> bool:
        before = ticks
        while ticks < before + 3:  # never, if the loop waits for it
            time.sleep(0.005)
        return True

    async def main() -> tg.Result:
        graph = tg.Graph("slow")
        graph.add(draft=tg.Generate(), check=tg.Score(verifier="slow"))
        graph.edge(tg.START, "draft", "check", tg.END)
        task = asyncio.create_task(ticking())
        try:
            model = ScriptedModel(["It is 5."])
            return await graph.arun(QUESTION, model=model, seed=1, verifiers={"slow": slow})
        finally:
            task.cancel()

    assert [c.score for c in asyncio.run(main()).candidates] == [1]


def test_an_argument_that_no_verifier_is_given_is_told() -> None:
    with pytest.raises(ThinkgraphError, match=r"argument 'expected'; a verifier is given question"):
        verified(lambda answer, expected: answer == expected)


def test_one_that_is_not_bound_is_told_before_the_run() -> None:
    graph = tg.Graph("unbound")
    graph.add(draft=tg.Generate(), check=tg.Score(verifier="chekc"))
    graph.edge(tg.START, "draft", "check", tg.END)
    with pytest.raises(Unbound, match=r"needs the verifier 'chekc'.*did you mean 'check'"):
        graph.run(QUESTION, model="no-such-model", verifiers={"check": is_five})


def test_a_score_by_a_verifier_names_one() -> None:
    with pytest.raises(ValueError, match="`by: verifier` needs the name of one"):
        tg.Score(by="verifier")


@pytest.mark.parametrize("returned", ["no", [1], (True,), (True, 3), object()])
def test_no_other_value_is_a_judgement(returned: Any) -> None:
    with pytest.raises(TypeError, match="a verifier returns"):
        Judgement.of(returned)
