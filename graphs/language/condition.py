"""Conditions on edges: CEL expressions, type-checked against the variables of a state.

CEL (the Common Expression Language) has no loops, no assignments and no calls but its own
functions, so a condition terminates and has no side effects. Its type checker finds unknown names
and mismatched types before a run. `not`, `and` and `or` may be used for CEL's operators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from cel_expr_python import cel

from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.language.words import SIGNS, Translation, tokens_of
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
    "any": cel.Type.DYN,
}


class ConditionError(ThinkgraphError):
    """A condition can't be compiled or evaluated, or is not a boolean.

    Attributes:
        issues: all errors of the condition.
    """

    def __init__(self, message: str, issues: Sequence[ConditionIssue] = ()) -> None:
        self.issues = issues
        super().__init__(message)


class ConditionIssue(NamedTuple):
    """One error of a condition, with its line and column in the text, from 1."""

    kind: Literal["syntax", "name", "type", "truth"]
    message: str
    line: int = 1
    column: int = 1
    length: int = 1
    hint: str = ""


class Variable(NamedTuple):
    """A built-in variable of conditions: its type, its value for a state, its description."""

    type: str
    read: Callable[[State], Any]
    about: str


def _agreement(state: State) -> float:
    """The share of live candidates whose answers are in the largest class of answers."""
    votes = tally([candidate.answer for candidate in state.live], question=state.question)
    return votes.winner.votes / len(state.live) if votes.winner else 0.0


def _repeated(state: State) -> bool:
    """Whether every live candidate has parents and repeats the answer of one of them."""
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
    "live": Variable("integer", lambda state: len(state.live), "number of live candidates"),
    "answered": Variable(
        "integer",
        lambda state: sum(c.answer is not None for c in state.live),
        "number of live candidates that have an answer",
    ),
    "accepted": Variable(
        "boolean", lambda state: state.accepted, "whether critics accept every live candidate"
    ),
    "passed": Variable(
        "boolean",
        lambda state: any(state.passes(candidate) for candidate in state.live),
        "whether all last critiques of some live candidate accept it",
    ),
    "agreement": Variable(
        "number", _agreement, "share of live candidates that gave the most common answer"
    ),
    "repeated": Variable(
        "boolean", _repeated, "whether every live candidate repeats a parent's answer"
    ),
    "score": Variable("number", _best_score, "highest score of the live candidates"),
    "answer": Variable(
        "string", lambda state: (state.answer and state.answer.value) or "", "the answer so far"
    ),
}
"""Variables of every state, besides `round`, the params, inputs and the spec's own state."""


def variable_types(spec: Spec) -> dict[str, str]:
    """The types of all variables that a condition in this spec may use, by name."""
    return {
        "round": "integer",
        **{name: variable.type for name, variable in VARIABLES.items()},
        **{name: param.kind for name, param in spec.params.items()},
        **{name: declared.type for name, declared in (spec.inputs | spec.state).items()},
    }


class Condition:
    """A compiled expression that gives a boolean for a state.

    Args:
        text: the expression.
        types: the types of the variables that it may use, from :func:`variable_types`.

    Raises:
        ConditionError: it doesn't parse, names an undefined variable, or isn't a boolean.
    """

    def __init__(self, text: str, types: Mapping[str, str]) -> None:
        self.text = text
        self._expression = _compile(text, tuple(sorted(types.items())))
        self.names = Translation(text).names & types.keys()

    def holds(self, state: State, round: int, params: Mapping[str, Any]) -> bool:
        """Whether the condition is true for a state; only the variables that it uses are computed.

        Raises:
            ConditionError: the evaluation fails (a missing key, a division by zero).
        """
        known = {**state.fields, **params, "round": round}
        data = {n: VARIABLES[n].read(state) if n in VARIABLES else known[n] for n in self.names}
        value = self._expression.eval(data=data).value()
        if not isinstance(value, bool):
            raise ConditionError(f"the condition gives {value}, not a boolean")
        return value

    def decide(self, known: Mapping[str, Any]) -> bool | None:
        """Evaluate the condition with the values of only some names; None if they don't decide it.

        ``false && x`` and ``true || x`` are decided without x, as CEL defines. None is returned
        too if the evaluation fails.
        """
        data = {name: known[name] for name in self.names & known.keys()}
        value = self._expression.eval(data=data).value()
        return value if isinstance(value, bool) else None


@cache
def _compile(text: str, types: tuple[tuple[str, str], ...]) -> cel.Expression:
    if len(_MACRO.findall(text)) > MAX_MACROS:
        said = f"a condition has at most {MAX_MACROS} calls of all, exists, map and filter"
        raise ConditionError(said, [ConditionIssue("syntax", said)])
    environment = cel.NewEnv(variables={name: _CEL_TYPES[kind] for name, kind in types})
    translation = Translation(text)
    try:
        expression = environment.compile(translation.text)
    except RuntimeError as error:
        issues = list(_issues(str(error), translation, text, dict(types)))
        raise ConditionError("; ".join(issue.message for issue in issues), issues) from None
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        issue = _not_boolean(expression.return_type().name().lower(), text)
        raise ConditionError(issue.message, [issue])
    return expression


MAX_MACROS = 2
"""Maximum number of loops over lists in a condition; each multiplies its work."""
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_NO_OPERATORS = {
    **dict.fromkeys(("=", "is"), "`x == y`"),
    **{word.upper(): f"`{word}`" for word in SIGNS},
    "not in": "`not (x in y)`",
}
"""Words mistaken for operators, and what to write instead."""
_LITERALS = {"True": "true", "False": "false", "None": "null"}


def _issues(
    report: str, translation: Translation, text: str, types: Mapping[str, str]
) -> Iterator[ConditionIssue]:
    """The issues in CEL's error report; of syntax errors only the first, which causes the rest."""
    found = _ERROR.findall(report)
    if not found:
        yield ConditionIssue(
            "syntax", "it is nested too deeply" if "recursion" in report else report
        )
    for line, column, message in found:
        said = message.removesuffix(" (in container '')")
        location = translation.origin(int(line), int(column))
        if said.startswith("undeclared reference to"):
            yield _unknown(said.split("'")[1], location, types)
        elif said.startswith("found no matching overload"):
            yield _mismatch(said, location, text, types)
        else:
            yield _unreadable(said, location, text)
            return


def _unknown(name: str, location: tuple[int, int], types: Mapping[str, str]) -> ConditionIssue:
    if name in types:
        return ConditionIssue("name", f"`{name}` is not a function", *location)
    hint = f"write `{_LITERALS[name]}`" if name in _LITERALS else ""
    first, _, rest = name.partition(".")
    line, column = location
    column = max(1, column - len(name) + len(name.rpartition(".")[2]) + 1) if rest else column
    return ConditionIssue(
        "name",
        f"unknown variable `{name}`",
        line,
        column,
        len(name),
        hint or suggestion(first, types),
    )


def _mismatch(
    said: str, location: tuple[int, int], text: str, types: Mapping[str, str]
) -> ConditionIssue:
    operator = _operator(said.split("'")[1].strip("_@").replace("_", ""), location, text)
    given = said.rsplit("applied to '", maxsplit=1)[-1].rstrip("'").strip("()")
    message = f"`{operator}` is not defined for ({given})"
    if sorted(given.split(", ")) == ["double", "int"]:
        return ConditionIssue(
            "type", message, *location, len(operator), _as_doubles(text, location, types)
        )
    return ConditionIssue("type", message, *location, max(1, len(operator)))


def _operator(sign: str, location: tuple[int, int], text: str) -> str:
    """An operator as it was written: as a symbol of CEL, or as a word."""
    written = text.split("\n")[location[0] - 1][location[1] - 1 :]
    return next((w for w, s in SIGNS.items() if s == sign and written.startswith(w)), sign)


def _as_doubles(text: str, location: tuple[int, int], types: Mapping[str, str]) -> str:
    """How to write the integer beside an operator as a double."""
    line = text.split("\n")[location[0] - 1]
    before, after = line[: location[1] - 1], line[location[1] - 1 :]
    beside = [re.search(r"([\w.]+)\s*$", before), re.match(r"[<>=!+*/%-]+\s*([\w.]+)", after)]
    for word in [match[1] for match in beside if match]:
        if word.isdigit():
            return f"write `{word}.0`: CEL doesn't compare int with double"
        if types.get(word) == "integer":
            return f"write `double({word})`: CEL doesn't compare int with double"
    return "write 1.0 for 1, or double(x): CEL doesn't compare int with double"


def _unreadable(said: str, location: tuple[int, int], text: str) -> ConditionIssue:
    if "$" in text:
        column = text.index("$") + 1
        return ConditionIssue(
            "syntax",
            "`$` has no meaning in a condition",
            1,
            column,
            1,
            "write the param's name alone",
        )
    tokens = tokens_of(text)
    for token, following in zip_longest(tokens, tokens[1:]):
        two = f"{token.text} {following.text}" if following else ""
        operator = two if two in _NO_OPERATORS else token.text
        if operator in _NO_OPERATORS and token.kind != "string":
            line = text.count("\n", 0, token.start) + 1
            column = token.start - (text.rfind("\n", 0, token.start) + 1) + 1
            message = f"`{operator}` is not an operator of a condition"
            hint = f"write {_NO_OPERATORS[operator]}"
            return ConditionIssue("syntax", message, line, column, len(operator), hint)
    ends = "<EOF>" in said.split(" expecting ", maxsplit=1)[0]
    message = "unexpected end" if ends else said.split(" expecting ", maxsplit=1)[0]
    return ConditionIssue("syntax", message.removeprefix("Syntax error: "), *location)


def _not_boolean(kind: str, text: str) -> ConditionIssue:
    hint = {"int": f"compare it: `{text} > 0`", "string": f'compare it: `{text} != ""`'}
    brief = hint.get(kind, "compare it with something") if len(text) < 40 else ""
    return ConditionIssue(
        "truth",
        f"the condition is of type {kind}, not bool",
        1,
        1,
        len(text.split("\n", maxsplit=1)[0]),
        brief,
    )
