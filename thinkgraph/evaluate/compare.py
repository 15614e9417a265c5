"""Comparing strategies from Python: what ``thinkgraph compare`` does, without the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from thinkgraph.evaluate.comparison import Comparison
from thinkgraph.evaluate.digest import digest
from thinkgraph.evaluate.metric import Metric
from thinkgraph.evaluate.row import Row
from thinkgraph.evaluate.runner import AT_ONCE, Runner
from thinkgraph.evaluate.store import Store
from thinkgraph.evaluate.task import Task
from thinkgraph.evaluate.variant import Variant
from thinkgraph.models.model import Model
from thinkgraph.nodes.prompt import Prompt

DATABASE = "comparison.sqlite"


async def compare(
    task: Task,
    variants: Sequence[Variant],
    model: Model,
    out: Path,
    *,
    metric: str = "",
    seed: int = 0,
    models: Mapping[str, Model] | None = None,
    prompts: Mapping[str, Prompt] | None = None,
    at_once: int = AT_ONCE,
    tell: Callable[[Row, bool], None] = lambda row, kept: None,
) -> Comparison:
    """Answer every question with every strategy, or what is left of that.

    Args:
        task: the questions.
        variants: the strategies; the first is the baseline.
        model: answers, for every role that ``models`` doesn't name.
        out: the folder of the database, made if there is none.
        metric: what the comparison is to be judged by; that of the task, if empty.
        seed: all randomness comes from it.
        models: a model by its role.
        prompts: prompts that replace built-in ones of the same name.
        at_once: runs side by side.
        tell: told every row, and whether it was kept from an earlier start.

    Raises:
        StoreError: the database can't be used; what was computed before is in it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with Store(out / DATABASE, digest(task.name, model.name, seed)) as store:
        runner = Runner(model, store, seed, models or {}, prompts or {}, at_once)
        rows = await runner.run(task.questions, variants, tell)
        spent, seconds = store.spent()
    return Comparison(
        task=task.name,
        model=model.name,
        seed=seed,
        metric=metric or task.metric,
        variants=tuple(variants),
        questions=task.questions,
        rows=tuple(rows),
        spent=spent,
        seconds=seconds,
    )
