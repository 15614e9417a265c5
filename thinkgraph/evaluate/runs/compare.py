"""Comparing strategies from Python: `thinkgraph compare` without the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.store import Store, StoreError
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.expected import expecting
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.models.model import Usage

DATABASE = "comparison.sqlite"


async def compare(
    task: Task,
    variants: Sequence[Variant],
    config: Config,
    out: Path,
    *,
    workers: int = 0,
    tell: Callable[[Row, bool], None] = lambda row, kept: None,
    ask: bool = True,
) -> Comparison:
    """Answer every question with every strategy, or what is left of that.

    Args:
        task: the questions, and the metric that the comparison is to be judged by. Where none
            says how its answer is found, the right answers do.
        variants: the strategies; the first is the baseline. Those with a model of their own are
            asked of it, model by model.
        config: the model, and how it is asked.
        out: the folder of the database, made if there is none.
        workers: engines of a Ray cluster that share the work; 0 is this process alone.
        tell: told every row, and whether it was kept from an earlier start.
        ask: false: what was answered so far, without running the rest.

    Raises:
        StoreError: the database can't be used; what was computed before is in it.
        ModelError: a model can't be found or opened.
        ThinkgraphError: a strategy names a tool or verifier that isn't bound.
    """
    if not any(each.extract for each in task.questions):
        task = task.model_copy(update={"questions": expecting(task.questions)})
    name = ",".join(dict.fromkeys(each.model for each in variants if each.model)) or config.name
    database, counted = out / DATABASE, digest(task.name, name, config.seed)
    rows: list[Row] = []
    spent, seconds = Usage(), 0.0
    with config.host.open() as hosted:
        for each in variants:
            each.load().check_hosted(each.params, **hosted)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"can't make the folder {out}: {error.strerror}") from None
        for model in dict.fromkeys(each.model for each in variants):
            group = [each for each in variants if each.model == model]
            own = replace(config, model=model) if model else config
            if workers and ask:
                from thinkgraph.evaluate.runs.cluster import spread  # noqa: PLC0415 (needs Ray)

                found, spent, seconds = await spread(
                    task.questions, group, database, counted, own, workers=workers, tell=tell
                )
            else:
                with Store(database, counted) as store:
                    runner = own.runner(store, hosted)
                    found = await runner.run(task.questions, group, tell, ask=ask)
                    spent, seconds = store.spent()
            rows += found
    return Comparison(
        task=task.name,
        model=name,
        seed=config.seed,
        metric=task.metric,
        variants=tuple(variants),
        questions=task.questions,
        rows=tuple(rows),
        spent=spent,
        seconds=seconds,
    )
