"""The runner of a comparison: every strategy on every question, concurrently in one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.identity import identity
from thinkgraph.evaluate.runs.pool import Pool, PooledModel
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.store import Store, StoreError
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message, Model
from thinkgraph.models.seed import derive_seed
from thinkgraph.nodes.prompts.prompt import Prompt

AT_ONCE = 24
"""Concurrent runs. Most wait for samples that another draws, so many are needed to fill a batch."""


class Pair(NamedTuple):
    """A question, and a strategy to answer it."""

    question: Question
    variant: Variant

    def named(self, row: Row) -> Row:
        """A stored row under the question's id and the strategy's label, which may be new."""
        same = {"question": self.question.id, "strategy": self.variant.label}
        return row.model_copy(update=same)


@dataclass
class Runner:
    """Runs strategies on questions, with shared models and a shared store.

    Attributes:
        model: the model of all roles that ``models`` doesn't name.
        store: keeps samples, answers and rows.
        seed: the source of all randomness.
        models: models by role.
        prompts: prompts that replace built-in ones of the same name.
        at_once: number of concurrent runs.
        hosted: the tools and verifiers of the runs, as keyword arguments.
        files: the source texts of tools and verifiers, on which answers depend.
    """

    model: Model
    store: Store
    seed: int = 0
    models: Mapping[str, Model] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    at_once: int = AT_ONCE
    hosted: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    async def run(
        self,
        questions: Sequence[Question],
        variants: Sequence[Variant],
        tell: Callable[[Row, bool], None] = lambda row, kept: None,
        *,
        ask: bool = True,
    ) -> list[Row]:
        """Answer every question with every strategy; rows of earlier starts are reused.

        A failed run gives a row with its failure, and is retried by the next start; so is a run
        that lost a request, whose row is kept until a whole one takes its place.

        Args:
            questions: answered in this order; their ids are unique.
            variants: the strategies.
            tell: called with every row, and whether it was kept from an earlier start.
            ask: if false, returns only the rows of earlier starts and runs nothing.

        Raises:
            StoreError: the database can't be written; it keeps what was computed before.
        """
        rows, missing = self._kept(questions, variants, again=ask)
        for row in rows:
            tell(row, True)
        if not ask:
            return rows
        pools = self._pools()
        waiting = iter(missing)

        async def work() -> None:
            for pair in waiting:
                answered = await self._answer(pair, pools)
                row = pair.named(self.store.add_row(*self._key(pair), answered))
                rows.append(row)
                tell(row, False)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.at_once, len(missing))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            for pool in set(pools.values()):
                await pool.close()
        return rows

    async def _answer(self, pair: Pair, pools: Mapping[str, Pool]) -> Row:
        question, variant = pair
        graph = variant.load(question.extract)
        models = {role: PooledModel(pool) for role, pool in pools.items()}
        asked = [*question.messages, Message(role="user", content=question.text)]
        try:
            result = await graph.arun(
                asked if question.messages else question.text,
                model=models[""],
                models={role: models[role] for role in graph.roles & models.keys()},
                seed=derive_seed(self.seed, question.id),
                prompts={**self.prompts, **variant.prompts},
                **self.hosted,
                **variant.params,
            )
        except StoreError:
            raise
        except ThinkgraphError as error:
            return Row.failed(question.id, variant.label, str(error))
        lost = [error for model in models.values() for error in model.lost]
        return Row.of(question.id, variant.label, result, lost[0] if lost else None)

    def _kept(
        self, questions: Sequence[Question], variants: Sequence[Variant], *, again: bool
    ) -> tuple[list[Row], list[Pair]]:
        """The rows of earlier starts, and the pairs without one, question by question.

        With ``again``, pairs whose run lost a request count as pairs without a row.
        """
        rows: dict[tuple[str, str], Row] = {}
        for variant in variants:
            pairs = {self._key(pair): pair for pair in (Pair(each, variant) for each in questions)}
            strategy = next(iter(pairs))[1] if pairs else ""
            kept = self.store.rows(strategy, [question for question, _ in pairs])
            for (key, _), pair in pairs.items():
                if key in kept and not (again and kept[key].lost):
                    rows[pair.question.id, variant.label] = pair.named(kept[key])
        every = [Pair(question, variant) for question in questions for variant in variants]
        return [*rows.values()], [p for p in every if (p.question.id, p.variant.label) not in rows]

    def _key(self, pair: Pair) -> tuple[str, str]:
        """The digests of all that a row depends on: of its question, and of everything else."""
        used = {"id", "text", "messages"} | ({"extract"} if pair.question.extract else set())
        asked = pair.question.model_dump(include=used)
        return digest(asked), digest(pair.variant.digest, self._scope)

    @property
    def _by_role(self) -> dict[str, Model]:
        return {"": self.model, **self.models}

    @property
    def _scope(self) -> list[object]:
        models = {role: identity(model) for role, model in self._by_role.items()}
        return [self.seed, models, *self.files]

    def _pools(self) -> dict[str, Pool]:
        """The pools by role; roles with the same model share a pool."""
        named = {role: (identity(model), model) for role, model in self._by_role.items()}
        pools = {
            name: Pool(model, self.store, name, self.seed, confidence=isinstance(model, LocalModel))
            for name, model in named.values()
        }
        return {role: pools[name] for role, (name, _) in named.items()}
