"""Budgets: one budget of tokens, seconds and calls for all nodes of a run."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from thinkgraph.graphs.language.spec import Limits, Scalar
from thinkgraph.graphs.runtime.state import total_usage
from thinkgraph.models.model import Budget
from thinkgraph.nodes.base.param import bind

MOST_RUNS = 1024
"""Runs whose budgets are kept at hand; that of another is made again from its checkpoint."""


class RunBudget(Budget):
    """The budget of a run; its clock pauses while none of its nodes runs.

    So a run that waits for a human, or was killed and is resumed, has the time that it had.
    """

    def __init__(self, limits: Limits, parent: Budget | None = None) -> None:
        super().__init__(limits.tokens, limits.seconds, limits.calls, parent)
        self._active = 0
        self._elapsed = 0.0
        self._clock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds in which at least one node has run."""
        return time.monotonic() - self._began if self._active else self._elapsed

    @contextmanager
    def running(self) -> Iterator[None]:
        """The run of one node."""
        with self._clock:
            if not self._active:
                self._began = time.monotonic() - self._elapsed
            self._active += 1
        try:
            yield
        finally:
            with self._clock:
                self._elapsed = self.elapsed
                self._active -= 1

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take up where the channels say that the run was."""
        spent, turn = total_usage(values), values.get("turn") or {}
        self._spent_tokens, self._spent_calls = spent.completion_tokens, spent.model_calls
        self._elapsed = turn.get("elapsed_s", 0.0)
        self.cut = turn.get("cut")


class RunBudgets:
    """The budgets of a compiled graph's runs, each shared by the run's nodes.

    Args:
        limits: of every run.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[Any, RunBudget] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, values: Mapping[str, Any], limits: Limits | None, above: Budget | None
    ) -> RunBudget:
        """The budget of the run that the channels are of.

        Args:
            values: the channels.
            limits: what the invocation itself sets.
            above: a budget of the caller's own, which this one is part of.
        """
        key = values["turn"]["id"], limits, above
        with self._lock:
            if key not in self._kept:
                self._kept[key] = RunBudget(least(self._limits, limits), above)
                self._kept[key].restore(values)
            self._kept.move_to_end(key)
            if len(self._kept) > MOST_RUNS:
                self._kept.popitem(last=False)
            return self._kept[key]

    def forget(self, budget: Budget | None) -> None:
        """The run of a budget is over; who goes back to a checkpoint of it has what was left."""
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept is budget]:
                del self._kept[key]


def bound(limits: Limits | None, params: Mapping[str, Scalar]) -> Limits:
    """Limits with the values of the params that they refer to."""
    if limits is None:
        return Limits()
    return Limits.model_validate(bind(limits.model_dump(mode="json"), params))


def least(one: Limits, other: Limits | None) -> Limits:
    """What both allow."""
    if other is None:
        return one
    values = {name: (getattr(one, name), getattr(other, name)) for name in Limits.model_fields}
    return Limits(
        **{n: min((x for x in v if x is not None), default=None) for n, v in values.items()}
    )


def limited(
    limits: Limits, params: Mapping[str, Scalar], parent: Budget | None = None
) -> RunBudget:
    """The budget that limits give, within another."""
    return RunBudget(bound(limits, params), parent)
