"""The table that `thinkgraph plan` prints: costs per node, and the expected time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text

from thinkgraph.fitted import Fitted
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.planning.plan import Plan
from thinkgraph.graphs.planning.spent import MAX_COUNT, Spent
from thinkgraph.models.tuning.speed import Speed
from thinkgraph.terminal import console as make_console


def forecast(plan: Plan, speed: Speed | None = None) -> None:
    """Print a plan: the costs per node and in total, and whether the run fits."""
    console = make_console(soft_wrap=True)
    console.print(_table(plan))
    for line in _lines(plan, speed):
        console.print(Text(line), soft_wrap=not console.is_terminal)


def sources(
    graph: Graph, given: Mapping[str, object], fitted: Fitted | None, file: str | None = None
) -> Iterator[str]:
    """The params that `thinkgraph fit` searches, with their values and the values' sources.

    A line for each that is given or fitted, and one line for all that have their defaults.

    Args:
        graph: the strategy, with the fitted params as its defaults.
        given: values that the run sets.
        fitted: the fitted params, if there are any.
        file: the params file of ``fitted``; None: the params are kept for the model.
    """
    defaults = []
    for name, param in graph.spec.params.items():
        if not param.fit:
            continue
        if name in given:
            yield f"{name} {given[name]}  given"
        elif fitted and name in fitted.params:
            kept = f"fitted for this model {fitted.gain}; undo: {fitted.undo}"
            yield f"{name} {param.default}  {f'from {file}' if file else kept}"
        else:
            defaults.append(f"{name} {param.default}")
    if defaults:
        hint = "" if fitted else "; `thinkgraph fit` searches better ones for this model"
        yield f"{', '.join(defaults)}  the strategy's default{'s' * (len(defaults) > 1)}{hint}"


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    counted = plan.total.prompt_tokens is not None
    names = ["runs", "calls", "samples", "tokens", *(["prompt tokens"] if counted else [])]
    tools = plan.total.tool_calls > 0
    names += ["tool calls"] if tools else []
    table.add_column("node")
    for name in names:
        table.add_column(name, justify="right")
    for name, spent in plan.nodes.items():
        table.add_row(name, *_cells(spent, tools=tools))
    table.add_row("total", *_cells(plan.total, tools=tools), style="bold")
    return table


def _cells(spent: Spent, *, tools: bool) -> Iterator[str]:
    """The cells of a row; tokens and tool calls are always bounds."""
    for count in (spent.runs, spent.calls, spent.samples):
        yield f"{count:,}" if spent.exact else _at_most(count, spent)
    for tokens in (spent.tokens, spent.prompt_tokens):
        if tokens is not None:
            yield _at_most(tokens, spent)
    if tools:
        yield _at_most(spent.tool_calls, spent)


def _at_most(count: int, spent: Spent) -> str:
    """An upper bound, with ≤ before it; ? if there is none."""
    if not spent.bounded:
        return "?"
    return f"≤ {count:,}" if count else "0"


def _lines(plan: Plan, speed: Speed | None) -> Iterator[str]:
    if plan.unknown:
        names = ", ".join(plan.unknown)
        yield f"not counted, since their kinds don't tell their cost: {names}"
    yield from plan.unbound
    yield from plan.incapable
    if not plan.total.bounded:
        yield (
            f"no useful bound: a run could have more than {MAX_COUNT:,} candidates, or items of a "
            "list; lower the bounds of its loops"
        )
        if plan.warning:
            yield plan.warning
        return
    if plan.total.prompt_tokens is None:
        yield "pass a question to count prompt tokens and KV cells too"
    else:
        yield (
            f"context: the longest prompt with its completion has up to {plan.longest:,} tokens, "
            f"and {plan.context:,} fit"
        )
    if plan.total.cells is not None and plan.cells is not None:
        waits = "; the samples that don't fit wait" if plan.total.cells > plan.cells else ""
        yield f"KV cells: up to {plan.total.cells:,} at once, of {plan.cells:,}{waits}"
    if plan.warning:
        yield plan.warning
    if plan.total.seconds is not None and speed is not None:
        alone, many = speed.rates
        yield (
            f"time: about {_time(plan.total.seconds)} at most, if every text is as long as it may "
            f"be (on {speed.measured} this machine wrote {alone:.0f} tokens a second alone, "
            f"{many:.0f} in sixteen samples, and read {speed.prefill:.0f}; --measure repeats that)"
        )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
