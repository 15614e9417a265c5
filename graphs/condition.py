"""Conditions on edges: expressions of CEL, type-checked against what a state offers.

CEL (the Common Expression Language) has no loops, no assignments and no calls but its own
functions, so a condition ends and touches nothing. Its checker finds unknown names and types
that don't fit before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from cel_expr_python import cel

from thinkgraph.graphs.spec import Spec
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.answers import tally
from thinkgraph.nodes.population import State

_CEL_TYPES = {
    "boolean": cel.Type.BOOL,
    "integer": cel.Type.INT,
    "number": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "list": cel.Type.List(cel.Type.DYN),
    "object": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
}


class ConditionError(ThinkgraphError):
    """A condition can't be read, or isn't true or false.

    Attributes:
        column: where in the expression, from 1.
    """

    def __init__(self, message: str, column: int = 1) -> None:
        self.column = column
        super().__init__(message)


class Variable(NamedTuple):
    """Something that a condition may name: its type, how it is read off a state, what it is."""

    type: str
    read: Callable[[State], Any]
    about: str


def _agreement(state: State) -> float:
    """The share of the live candidates that the largest class of answers has."""
    votes = tally([candidate.answer for candidate in state.live], question=state.question)
    return votes.winner.votes / len(state.live) if votes.winner else 0.0


def _repeated(state: State) -> bool:
    """Whether every live candidate was written from others and repeats an answer of theirs."""
    for candidate in state.live:
        before = [state.candidates[p].answer for p in candidate.parents if p in state.candidates]
        votes = tally([candidate.answer, *before], question=state.question)
        first = next((c for c in votes.classes if 0 in c.members), None)
        if first is None or first.votes < 2:
            return False
    return bool(state.live)


def _best_score(state: State) -> float:
    return max((c.score for c in state.live if c.score is not None), default=float("-inf"))


VARIABLES: dict[str, Variable] = {
    "question": Variable("string", lambda state: state.question, "the question"),
    "live": Variable("integer", lambda state: len(state.live), "how many candidates live"),
    "answered": Variable(
        "integer",
        lambda state: sum(c.answer is not None for c in state.live),
        "how many live candidates have an answer",
    ),
    "accepted": Variable("boolean", lambda state: state.accepted, "critics accept all that live"),
    "agreement": Variable("number", _agreement, "share of the live that the first answer has"),
    "repeated": Variable("boolean", _repeated, "every live candidate repeats a parent's answer"),
    "score": Variable("number", _best_score, "the best score of the live candidates"),
    "answer": Variable(
        "string", lambda state: (state.answer and state.answer.value) or "", "the answer so far"
    ),
}
"""What every state offers; `round`, the params, inputs and the spec's own state come on top."""


def variable_types(spec: Spec) -> dict[str, str]:
    """The name and type of everything that a condition in this spec may name."""
    return {
        "round": "integer",
        **{name: variable.type for name, variable in VARIABLES.items()},
        **{name: param.kind for name, param in spec.params.items()},
        **{name: declared.type for name, declared in (spec.inputs | spec.state).items()},
    }


class Condition:
    """A compiled expression that is true or false of a state.

    Args:
        text: the expression.
        types: what it may name, from :func:`variable_types`.

    Raises:
        ConditionError: it doesn't parse, names what isn't there, or isn't a truth value.
    """

    def __init__(self, text: str, types: Mapping[str, str]) -> None:
        self._expression = _compile(text, tuple(sorted(types.items())))
        self.names = frozenset(re.findall(r"[A-Za-z_]\w*", text)) & types.keys()

    def holds(self, state: State, round: int, params: Mapping[str, Any]) -> bool:
        """Whether it is true of the state; only what it names is computed.

        Raises:
            ConditionError: the evaluation fails (a missing key, a division by zero).
        """
        known = {**state.fields, **params, "round": round}
        data = {n: VARIABLES[n].read(state) if n in VARIABLES else known[n] for n in self.names}
        value = self._expression.eval(data=data).value()
        if not isinstance(value, bool):
            raise ConditionError(f"the condition gives {value}, not true or false")
        return value


@cache
def _compile(text: str, types: tuple[tuple[str, str], ...]) -> cel.Expression:
    environment = cel.NewEnv(variables={name: _CEL_TYPES[kind] for name, kind in types})
    try:
        expression = environment.compile(text)
    except RuntimeError as error:
        raise _readable(str(error)) from None
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        kind = expression.return_type().name().lower()
        raise ConditionError(f"the condition is of type {kind}, not true or false")
    return expression


def _readable(message: str) -> ConditionError:
    found = re.search(r"ERROR: <input>:1:(\d+): (.*)", message)
    if not found:
        return ConditionError(message)
    return ConditionError(found[2].removesuffix(" (in container '')"), int(found[1]))
