"""The values that an answer can have."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from thinkgraph.nodes.answers.value.unit import Unit


@dataclass(frozen=True)
class Number:
    """An exact rational number."""

    number: Fraction


@dataclass(frozen=True)
class Expression:
    """A mathematical expression or relation, as normalized LaTeX without unnecessary spaces."""

    latex: str


@dataclass(frozen=True)
class Words:
    """Anything else, in lower case and single spaces."""

    words: str


@dataclass(frozen=True)
class Quantity:
    """A value with a unit: `5 cents`, `3 apples`."""

    value: "Number | Expression"
    unit: Unit


@dataclass(frozen=True)
class Collection:
    """Several values: a tuple or interval (with its brackets), a set, a union, a matrix.

    A set and a union hold each member once, in a fixed order; the order in the others counts.
    """

    kind: Literal["()", "[]", "(]", "[)", "set", "union", "matrix", "row"]
    members: "tuple[Value, ...]"

    @property
    def ordered(self) -> bool:
        """Whether the members' order is part of the value."""
        return self.kind not in ("set", "union")


@dataclass(frozen=True)
class Named:
    """A value with its left side: `x = 5`, `f(2) = 5`, `x > 5`."""

    name: str
    value: "Number | Expression | Words | Quantity | Collection | Either"


@dataclass(frozen=True)
class Either:
    """A text with two readings: `2,74` is 2.74 or the list 2, 74; `√2 ≈ 1.41` is √2 or 1.41."""

    first: "Value"
    second: "Value"


Value = Number | Expression | Words | Quantity | Collection | Named | Either


def plain(value: Value) -> Value:
    """The value without its left side and unit."""
    match value:
        case Named():
            return plain(value.value)
        case Quantity():
            return value.value
        case Either():
            return plain(value.first)
    return value


def as_number(value: Value) -> Fraction | None:
    """The number of a value, without its left side and unit; None if it is not a number."""
    bare = plain(value)
    return bare.number if isinstance(bare, Number) else None
