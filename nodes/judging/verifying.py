"""Verification: functions of the host judge candidates, and can't block or break a run."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.judging.code_tests import FIELD, tests
from thinkgraph.nodes.judging.judgement import Judgement
from thinkgraph.nodes.population import Candidate, State
from thinkgraph.nodes.step import Step, gather
from thinkgraph.nodes.tools.limits import is_cancellation, is_over
from thinkgraph.nodes.tools.thread import TooManyLeft, in_thread

AT_ONCE = 8
"""Maximum concurrent calls of a verifier in one run of a node."""
BUILT_IN: Mapping[str, Callable[..., Any]] = {"tests": tests}
"""Built-in verifiers; a verifier of the host with the same name takes precedence."""


FIELDS: Mapping[str, str] = {"tests": FIELD}
"""The input or state field that each built-in verifier needs."""


def hosted(verifier: str) -> tuple[str, ...]:
    """The names that the host has to bind for this verifier; empty if it is built in."""
    return (verifier,) if verifier and verifier not in BUILT_IN else ()


async def verify(
    candidates: Sequence[Candidate], verifier: str, state: State, step: Step, timeout: float
) -> dict[str, Judgement]:
    """The judgements of a verifier on candidates, by candidate id.

    A candidate has no judgement if the verifier fails, times out or returns None; failures and
    time-outs are added to the failures of the step.

    Args:
        candidates: the candidates to judge, concurrently.
        verifier: name of the verifier.
        state: the question, and the fields of the spec.
        step: the run of the node, which has the verifiers.
        timeout: seconds for one candidate.

    Raises:
        ThinkgraphError: the function requires an argument that verifiers don't get.
    """
    function = step.verifiers.get(verifier) or BUILT_IN[verifier]
    places = asyncio.Semaphore(AT_ONCE)

    async def judged(candidate: Candidate) -> Judgement | None:
        known = {
            "question": state.question,
            "text": candidate.text,
            "answer": candidate.answer,
            "candidate": candidate,
            "fields": state.fields,
        }
        given = _arguments(function, verifier, known)
        async with places:
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    judgement = Judgement.of(await _called(function, given))
                    if is_over(limit):  # it can block the event loop or suppress its cancellation
                        raise TimeoutError
                    return judgement
            except TooManyLeft as error:
                fault = f"failed: {error}"
            except ThinkgraphError:  # a mistake of the user, the same for all candidates
                raise
            except (Exception, asyncio.CancelledError) as error:  # third-party code: anything
                if is_cancellation(error):
                    raise
                fault = f"failed: {type(error).__name__}: {error!s:.300}"
                fault = f"took longer than {timeout:g} s" if is_over(limit) else fault
        step.failures.append(f"the verifier {verifier!r} {fault} ({candidate.id})")
        return None

    found = await gather(*(judged(candidate) for candidate in candidates))
    pairs = zip(candidates, found, strict=True)
    return {candidate.id: judgement for candidate, judgement in pairs if judgement is not None}


def _arguments(function: Callable[..., Any], name: str, known: dict[str, Any]) -> dict[str, Any]:
    """The values in ``known`` that a function takes, by the names of its arguments."""
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


async def _called(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call a function; one that isn't a coroutine function runs in a thread of its own."""
    call = functools.partial(function, **given)
    if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        return await call()
    result = await in_thread(function, call)
    return await result if inspect.isawaitable(result) else result
