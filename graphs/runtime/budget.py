"""Budgets: one budget of tokens, seconds and calls for all nodes of a run."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from thinkgraph.graphs.language.spec import Limits, Scalar
from thinkgraph.graphs.runtime.state import Turn, total_usage
from thinkgraph.models.model import Budget, Usage
from thinkgraph.nodes.base.param import bind

MOST_RUNS = 1024
"""Maximum number of cached run budgets; any other is restored from the run's checkpoint."""


class RunBudget(Budget):
    """The budget of a run; its clock pauses while none of its nodes runs.

    So a run that waits for a human, or is resumed after it was killed, keeps its remaining time.

    Attributes:
        used: the usage of all nodes that ran with this budget, also where they failed.
        task: the task of the graph above in which the run is, if it is a used graph's.
    """

    def __init__(self, limits: Limits, parent: Budget | None = None, task: str = "") -> None:
        super().__init__(limits.tokens, limits.seconds, limits.calls, parent)
        self._active = 0
        self._elapsed = 0.0
        self._clock = threading.Lock()
        self._charged: set[str] = set()
        self._failed: dict[str, Usage] = {}
        self.used, self.task = Usage(), task

    @property
    def elapsed(self) -> float:
        """Seconds during which at least one node was running."""
        return time.monotonic() - self._began if self._active else self._elapsed

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run during the run of a node."""
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

    def resume(self, values: Mapping[str, Any]) -> None:
        """Charge what a run had spent before it was resumed, to this budget and those above.

        A used graph's run that is interrupted isn't in the channels of the graph above yet. A
        budget that saw the run begin, or was charged for it, has counted everything since.

        Args:
            values: the values of the run's channels.
        """
        if self._charge_once(values):
            spent = total_usage(values)
            self.note(spent)
            self._uncount_failed(spent, self.task)

    def _charge_once(self, values: Mapping[str, Any]) -> bool:
        """Charge what a run had spent, here and above; False if it was charged here before."""
        turn = values["turn"]
        with self._clock:
            is_new = turn["id"] not in self._charged
            if is_new:
                self._charged.add(turn["id"])
                self._charge(total_usage(values), turn)
        if isinstance(self.parent, RunBudget):
            self.parent._charge_once(values)
        return is_new

    def _uncount_failed(self, spent: Usage, task: str) -> None:
        """Subtract what a resumed run has in its channels from the usage of its failed attempt.

        Otherwise its completed nodes would count twice.
        """
        above = self.parent
        if isinstance(above, RunBudget):
            with above._lock:
                if task in above._failed:
                    above._failed[task] -= spent
            above._uncount_failed(spent, above.task or task)

    def _charge(self, spent: Usage, turn: Turn) -> None:
        with self._lock:
            self._spent_tokens += spent.completion_tokens
            self._spent_calls += spent.model_calls
        elapsed = turn.get("elapsed_s", 0.0)
        self._elapsed += elapsed
        self._began -= elapsed
        self.cut = self.cut or turn.get("cut")

    def note(self, spent: Usage) -> None:
        """Add the usage of a run of a node to ``used``."""
        with self._lock:
            self.used += spent

    def fail(self, task: str, spent: Usage) -> None:
        """Note the usage of a failed attempt, which writes no channels, for the next one."""
        with self._lock:
            self._failed[task] = self._failed.get(task, Usage()) + spent

    def take_failed(self, task: str) -> Usage:
        """The noted usage of a task's failed attempts, for the attempt that succeeded."""
        with self._lock:
            return self._failed.pop(task, Usage())


class Place(NamedTuple):
    """Where a run is.

    Attributes:
        invocation: what identifies the invocation that continues the run.
        checkpoint: the id of the checkpoint of the current step.
    """

    invocation: object
    checkpoint: str

    def continues(self, last: Place) -> bool:
        """Whether the run came here from there; else it went on from another checkpoint.

        An invocation only goes forward. One that resumes an interrupted step is at that step's
        checkpoint, while one that goes back has LangGraph begin a branch with a new checkpoint.
        """
        return self.invocation is last.invocation or self.checkpoint == last.checkpoint


class RunBudgets:
    """The budgets of a compiled graph's runs, each shared by the run's nodes.

    Args:
        limits: the limits of every run.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[Any, tuple[Place, RunBudget]] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, values: Mapping[str, Any], place: Place, limits: Limits | None, above: Budget | None
    ) -> RunBudget:
        """The budget of the run to which the channels belong.

        Args:
            values: the values of the channels.
            place: where the run is.
            limits: limits that the invocation sets.
            above: a budget of the caller, as the parent of this one.
        """
        key = values["turn"]["id"], limits, above
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and place.continues(kept[0]):
                budget = kept[1]
            else:
                budget = RunBudget(least(self._limits, limits), above)
                budget.resume(values)
            self._kept[key] = place, budget
            self._kept.move_to_end(key)
            if len(self._kept) > MOST_RUNS:
                self._kept.popitem(last=False)
            return budget

    def forget(self, budget: Budget | None) -> None:
        """Drop a finished run's budget; resuming one of its checkpoints restores what was left."""
        with self._lock:
            for key in [key for key, (_, kept) in self._kept.items() if kept is budget]:
                del self._kept[key]


def bound(limits: Limits | None, params: Mapping[str, Scalar]) -> Limits:
    """Limits with the references to params replaced by their values."""
    if limits is None:
        return Limits()
    return Limits.model_validate(bind(limits.model_dump(mode="json"), params))


def least(one: Limits, other: Limits | None) -> Limits:
    """The lower of both limits, for each amount."""
    if other is None:
        return one
    values = {name: (getattr(one, name), getattr(other, name)) for name in Limits.model_fields}
    return Limits(
        **{n: min((x for x in v if x is not None), default=None) for n, v in values.items()}
    )


def limited(
    limits: Limits | None,
    params: Mapping[str, Scalar],
    parent: Budget | None = None,
    task: str = "",
) -> RunBudget:
    """A new budget with these limits, within a parent and a task of the parent's graph."""
    return RunBudget(bound(limits, params), parent, task)
