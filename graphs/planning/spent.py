"""Amounts spent: calls, samples, tokens, KV cells and seconds, and how they are combined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from thinkgraph.graphs.language.spec import Limits
from thinkgraph.models.model import Frozen

SUMMED = ("runs", "calls", "samples", "tokens", "prompt_tokens", "seconds", "tool_calls")


MAX_COUNT = 100_000
"""Candidates, or items of a list, above which bounds are of no use and aren't computed."""


class Spent(Frozen):
    """What a node, or a whole run, may spend at most."""

    runs: int = Field(0, description="runs of the node, or of all nodes together")
    calls: int = Field(0, description="model calls")
    samples: int = Field(0, description="sampled completions")
    tokens: int = Field(0, description="sampled tokens")
    prompt_tokens: int | None = Field(
        None, description="tokens of the prompts; None without a model and a question"
    )
    cells: int | None = Field(
        None,
        description="KV cells needed at once, shared prefixes counted once; None without a model "
        "and a question",
    )
    seconds: float | None = Field(
        None, description="estimated time in seconds; None if the model's speed is unknown"
    )
    tool_calls: int = Field(0, description="maximum number of tool calls")
    exact: bool = Field(
        True, description="whether runs, calls and samples are exact rather than upper bounds"
    )
    bounded: bool = Field(
        True,
        description="whether the amounts are bounds; false if the plan stopped counting, because "
        f"a run could have more than {MAX_COUNT:,} candidates, or items of a list",
    )
    known: bool = Field(
        True, exclude=True, description="whether all node kinds involved define their cost"
    )

    def __add__(self, other: Spent) -> Spent:
        """Both in sequence: amounts add up, and the cells are the greater number."""
        return self._joined(other, lambda a, b: a + b, max)

    def beside(self, other: Spent) -> Spent:
        """Both in parallel: all amounts add up, the cells included."""
        return self._joined(other, lambda a, b: a + b, lambda a, b: a + b)

    def __or__(self, other: Spent) -> Spent:
        """Either of two: the greater amounts; exact only if runs, calls and samples are equal."""
        alike = (self.runs, self.calls, self.samples) == (other.runs, other.calls, other.samples)
        greater = self._joined(other, max, max)
        return greater if alike else greater.updated(exact=False)

    def _joined(self, other: Spent, join: Callable[..., Any], cells: Callable[..., Any]) -> Spent:
        joins = {**dict.fromkeys(SUMMED, join), "cells": cells}
        data = {
            name: _join(getattr(self, name), getattr(other, name), joins[name]) for name in joins
        }
        exact, known = self.exact and other.exact, self.known and other.known
        bounded = self.bounded and other.bounded
        return Spent.model_construct(**data, exact=exact, bounded=bounded, known=known)

    def times(self, count: int) -> Spent:
        """``count`` times this in parallel."""
        names = [name for name in (*SUMMED, "cells") if getattr(self, name) is not None]
        return self.updated(**{name: count * getattr(self, name) for name in names})

    def repeated(self, count: int) -> Spent:
        """``count`` times this in sequence."""
        return self.times(count).updated(cells=self.cells)

    def without_bound(self) -> Spent:
        """This as what was counted until there were too many candidates or items."""
        return self.updated(exact=False, bounded=False)

    def capped(self, limits: Limits | None) -> Spent:
        """This, limited by a budget; not exact if the budget may cut it."""
        caps = limits.model_dump(exclude_none=True) if limits else {}
        capped = {
            name: min(getattr(self, name), cap)
            for name, cap in caps.items()
            if getattr(self, name) is not None
        }
        left = self.updated(**capped)
        return left if left == self and "seconds" not in caps else left.updated(exact=False)

    def updated(self, **changes: Any) -> Spent:
        """A copy with other values of some fields."""
        return self.model_copy(update=changes)


def _join(one: Any, other: Any, join: Callable[..., Any]) -> Any:
    """Combine two amounts; one that isn't counted (None) gives the other."""
    if one is None or other is None:
        return other if one is None else one
    return join(one, other)


NOTHING = Spent()
