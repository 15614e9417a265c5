"""Verifiers at work: functions of the host's judge candidates, and can't hold up or break a run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.population import Candidate, Criticism
from thinkgraph.nodes.step import Step, gather

AT_ONCE = 8
"""Calls of one verifier that run at the same time."""
LONGEST_REASON = 4000
"""Characters of a reason; it may enter a prompt."""


@dataclass(frozen=True)
class Judgement:
    """What a verifier says of a candidate.

    Attributes:
        score: higher is better; 1 and 0 for true and false.
        accepted: what it says itself; None where it gives a number.
        reason: its reason, if it gives one.
    """

    score: float
    accepted: bool | None = None
    reason: str = ""

    @classmethod
    def of(cls, returned: Any) -> Judgement | None:
        """What a verifier returned: a boolean, a number, or a pair of that and a reason.

        None, alone or in the pair, is no judgement.

        Raises:
            TypeError: it returned something else.
            ValueError: the number is not finite.
        """
        verdict, reason = returned, ""
        if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], str):
            verdict, reason = returned
        if verdict is None:
            return None
        # Arrays and tensors of one element, and NumPy's numbers, have item().
        verdict = verdict.item() if callable(getattr(verdict, "item", None)) else verdict
        if not isinstance(verdict, int | float):
            what = "a verifier returns a boolean, a number, or a pair of that and a reason"
            raise TypeError(f"{what}, not {returned!r:.80}")
        if not math.isfinite(verdict):
            raise ValueError(f"the score {verdict} is not finite")
        accepted = verdict if isinstance(verdict, bool) else None
        return cls(float(verdict), accepted, reason.strip()[:LONGEST_REASON])

    def criticism(
        self, candidate: Candidate, verifier: str, index: int, least: float, step: Step
    ) -> Criticism:
        """The critique that it is; without a verdict of its own, ``least`` is accepted."""
        accepted = self.score >= least if self.accepted is None else self.accepted
        said = "accepts this answer" if accepted else "rejects this answer"
        return Criticism(
            id=step.id(index),
            node=step.node,
            round=step.round,
            candidate=candidate.id,
            text=self.reason or f"The verifier {verifier} {said}.",
            accepted=accepted,
            probability=self.score if 0 <= self.score <= 1 else None,
            seed=0,
            tokens=0,
        )


async def verify(
    candidates: Sequence[Candidate], verifier: str, question: str, step: Step, timeout: float
) -> dict[str, Judgement]:
    """The judgements of a verifier on candidates, by their ids.

    The verifier gives no judgement on a candidate where it fails, takes too long or returns
    nothing; the first two are noted among the failures of the step.

    Args:
        candidates: what is judged, side by side.
        verifier: its name.
        question: what the candidates answer.
        step: the run of the node, which has the verifiers.
        timeout: seconds for one candidate.

    Raises:
        ThinkgraphError: the function has an argument that no verifier is given.
    """
    function = step.verifiers[verifier]
    places = asyncio.Semaphore(AT_ONCE)

    async def judged(candidate: Candidate) -> Judgement | None:
        known = {
            "question": question,
            "text": candidate.text,
            "answer": candidate.answer,
            "candidate": candidate,
        }
        given = _arguments(function, verifier, known)
        async with places:
            try:
                async with asyncio.timeout(timeout):
                    return Judgement.of(await _called(functools.partial(function, **given)))
            except TimeoutError:
                fault = f"took longer than {timeout:g} s"
            except Exception as error:  # of a stranger's code
                fault = f"failed: {type(error).__name__}: {error}"
        step.failures.append(f"the verifier {verifier!r} {fault} ({candidate.id})")
        return None

    found = await gather(*(judged(candidate) for candidate in candidates))
    pairs = zip(candidates, found, strict=True)
    return {candidate.id: judgement for candidate, judgement in pairs if judgement is not None}


def _arguments(function: Callable[..., Any], name: str, known: dict[str, Any]) -> dict[str, Any]:
    """What a function is given of what is known, by the names of its arguments."""
    try:
        declared = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ThinkgraphError(f"the arguments of the verifier {name!r} can't be read") from None
    if any(each.kind is each.VAR_KEYWORD for each in declared):
        return known
    for each in declared:
        needed = each.default is each.empty and each.kind is not each.VAR_POSITIONAL
        if needed and (each.name not in known or each.kind is each.POSITIONAL_ONLY):
            raise ThinkgraphError(
                f"the verifier {name!r} has an argument {each.name!r}; "
                f"a verifier is given {', '.join(known)}"
            )
    return {each.name: known[each.name] for each in declared if each.name in known}


async def _called(call: Callable[[], Any]) -> Any:
    """What a function returns; one that isn't a coroutine runs in a thread of its own.

    The thread is a daemon: one that never ends holds up neither other work nor the end of the
    process, as one of an executor would.
    """
    function = call.func if isinstance(call, functools.partial) else call
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object whose call is a coroutine)
    ):
        return await call()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(call)
        except Exception as raised:
            error = raised
        except BaseException as raised:  # such as SystemExit, which would end another's task
            error = RuntimeError(f"{type(raised).__name__}: {raised}")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="thinkgraph-verifier", daemon=True).start()
    result = await done
    return await result if inspect.isawaitable(result) else result
