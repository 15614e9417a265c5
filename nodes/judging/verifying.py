"""Verifiers at work: functions of the host's judge candidates, and can't hold up or break a run."""

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
from thinkgraph.nodes.tools.thread import TooManyLeft, in_thread

AT_ONCE = 8
"""Calls of one verifier that run at the same time."""
BUILT_IN: Mapping[str, Callable[..., Any]] = {"tests": tests}
"""Verifiers that need no host; one of the host's of the same name comes first."""


FIELDS: Mapping[str, str] = {"tests": FIELD}
"""By the built-in verifier, the input or state field that it needs."""


def hosted(verifier: str) -> tuple[str, ...]:
    """The names that a host has to bind for a node with this verifier."""
    return (verifier,) if verifier and verifier not in BUILT_IN else ()


async def verify(
    candidates: Sequence[Candidate], verifier: str, state: State, step: Step, timeout: float
) -> dict[str, Judgement]:
    """The judgements of a verifier on candidates, by their ids.

    The verifier gives no judgement on a candidate where it fails, takes too long or returns
    nothing; the first two are noted among the failures of the step.

    Args:
        candidates: what is judged, side by side.
        verifier: its name.
        state: what the candidates answer, and the fields of the spec.
        step: the run of the node, which has the verifiers.
        timeout: seconds for one candidate.

    Raises:
        ThinkgraphError: the function has an argument that no verifier is given.
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
                    return Judgement.of(await _called(function, given))
            except TooManyLeft as error:
                fault = f"failed: {error}"
            except ThinkgraphError:  # the user's to mend, for all candidates alike
                raise
            except Exception as error:  # of a stranger's code
                fault = f"failed: {type(error).__name__}: {error!s:.300}"
                fault = f"took longer than {timeout:g} s" if limit.expired() else fault
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


async def _called(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """What a function returns; one that isn't a coroutine runs in a thread of its own."""
    call = functools.partial(function, **given)
    if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        return await call()
    result = await in_thread(function, call)
    return await result if inspect.isawaitable(result) else result
