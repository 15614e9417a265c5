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
    spent: Callable[[int], None] = lambda tokens: None,
    ask: bool = True,
) -> Comparison:
    """Answer every question with every strategy; answers of earlier starts are reused.

    Args:
        task: the questions, and the metric that judges the comparison. If no question has an
            extractor, extractors are derived from the right answers.
        variants: the strategies; the first is the baseline. Variants with a model of their own
            use that, one model after the other.
        config: the model and the settings of the runs.
        out: the folder of the database, created if missing.
        workers: number of engines in a Ray cluster; 0 runs in this process.
        tell: called with every row, and whether it was kept from an earlier start.
        spent: called with the number of new tokens of every sample; not with ``workers``.
        ask: if false, returns only the rows of earlier starts and runs nothing.

    Raises:
        StoreError: the database can't be used; it keeps what was computed before.
        ModelError: a model can't be found or opened.
        ThinkgraphError: a strategy names a tool or verifier that isn't bound.
    """
    if not any(each.extract for each in task.questions):
        task = task.model_copy(update={"questions": expecting(task.questions)})
    name = ",".join(dict.fromkeys(each.model for each in variants if each.model)) or config.name
    rows: list[Row] = []
    usage, seconds, paces = Usage(), 0.0, {}
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
            scope = digest(task.name, name, config.seed, *filter(None, [model]))
            if workers and ask:
                from thinkgraph.evaluate.runs.cluster import spread  # noqa: PLC0415 (needs Ray)

                found, its_spent, its_seconds = await spread(
                    task.questions, group, out / DATABASE, scope, own, workers=workers, tell=tell
                )
            else:
                own = own.opened()  # before the store's clock starts
                with Store(out / DATABASE, scope, spent) as store:
                    runner = own.runner(store, hosted)
                    found = await runner.run(task.questions, group, tell, ask=ask)
                    its_spent, its_seconds = store.spent()
            rows += found
            usage, seconds = usage + its_spent, seconds + its_seconds
            if its_spent.completion_tokens:
                paces[model] = its_seconds / its_spent.completion_tokens
    return Comparison(
        task=task.name,
        model=name,
        seed=config.seed,
        metric=task.metric,
        variants=tuple(variants),
        questions=task.questions,
        rows=tuple(rows),
        spent=usage,
        seconds=seconds,
        paces=paces,
    )
