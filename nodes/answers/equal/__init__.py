"""Whether two answers are equal by value."""

from thinkgraph.nodes.answers.equal.equal import (
    Tolerance,
    conflicting,
    equal,
    equal_values,
    parse_tolerance,
)

__all__ = ["Tolerance", "conflicting", "equal", "equal_values", "parse_tolerance"]
