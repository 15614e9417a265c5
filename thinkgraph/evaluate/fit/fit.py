"""The search for a strategy's best params: Optuna proposes settings, a runner evaluates them.

The search uses one part of the questions; the rest is held out to judge the winner. Trials share
their samples through the pool, and a trial that falls behind on the first questions is pruned.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkgraph.evaluate.analysis.difference import Difference
from thinkgraph.evaluate.analysis.scores import mean
from thinkgraph.evaluate.analysis.strategy import StrategySummary
from thinkgraph.evaluate.analysis.summary import summarize
from thinkgraph.evaluate.fit.space import BUILT_IN, Space
from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.compare import DATABASE
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.runner import Runner
from thinkgraph.evaluate.runs.store import Store, StoreError
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.data import shuffled
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt

try:
    import optuna
except ImportError as error:
    raise ThinkgraphError('fit needs Optuna; install it: pip install "thinkgraph[fit]"') from error

RUNGS = (0.25, 0.5, 1.0)
"""Shares of the questions after which a trial may be pruned."""
MARGIN = 1.1
"""Token budget without an explicit one, as a multiple of what the default setting takes."""
LEAST = 4
"""Minimum number of questions in each part."""
ASKS = 20
"""Proposals per wanted setting after which the search ends: Optuna repeats some of them."""


class Trial(Frozen):
    """One evaluated setting."""

    params: dict[str, Scalar]
    prompts: dict[str, str] = Field(
        default_factory=dict,
        description="label of the prompt that was tried, by name of the built-in prompt",
    )
    share: float = Field(
        description="share of right answers on the questions that were run, 0 to 1"
    )
    tokens: float = Field(
        description="mean number of sampled tokens per question, without failed runs"
    )
    questions: int = Field(description="number of questions that were run")
    failures: int = Field(0, description="number of runs that failed; counted as wrong")
    ended: str = Field("", description="why the trial was given up; empty: it ran on all questions")

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: the share of right answers, then fewer tokens."""
        return self.share, -self.tokens

    def __str__(self) -> str:
        named = {**self.params, **{f"prompt {name}": label for name, label in self.prompts.items()}}
        setting = ", ".join(f"{name} {value}" for name, value in named.items())
        ended = f" ({self.ended} after {self.questions} questions)" if self.ended else ""
        failed = f", {self.failures} of {self.questions} runs failed" if self.failures else ""
        return f"{setting}: {self.share:.1%}, {self.tokens:.0f} tokens{failed}{ended}"


class Fit(Frozen):
    """The result of a search, and of the winner on the held-out questions."""

    strategy: str
    trials: tuple[Trial, ...]
    best: Trial
    default: Trial = Field(
        description="result of the default params on the questions of the search"
    )
    budget: float = Field(description="maximum number of sampled tokens per question")
    searched: int = Field(description="number of questions of the search")
    held_out: tuple[StrategySummary, ...] = Field(
        (),
        description="results of the default and the winner on the held-out questions; empty: the "
        "default won",
    )
    difference: Difference | None = None

    @property
    def found(self) -> bool:
        """Whether a setting other than the default won the search."""
        best, default = self.best, self.default
        return (best.params, best.prompts) != (default.params, default.prompts)

    @property
    def gained(self) -> bool:
        """Whether the winner is significantly better on the held-out questions.

        By the rule of `compare`: a paired test at 5 %.
        """
        return self.difference is not None and self.difference.better

    @property
    def kept(self) -> bool:
        """Whether to keep the winner's params: it is better on held-out questions, sure or not.

        If the default is over the budget, the winner is kept in any case.
        """
        return self.difference is not None and (self.is_over or self.difference.points > 0)

    @property
    def is_over(self) -> bool:
        """Whether the default params exceed the token budget."""
        return self.default.tokens > self.budget

    @property
    def sentence(self) -> str:
        """What was gained, in one sentence."""
        over = (
            f"the default params take {self.default.tokens:.0f} tokens, over the budget of "
            f"{self.budget:.0f}"
        )
        if self.difference is None:
            none = f"fits the budget; {over}" if self.is_over else "beats the default params"
            return f"Nothing was gained: no setting that was tried {none}."
        d = self.difference
        measured = (
            f"{d.points:+.0f} points [{d.low:+.0f}, {d.high:+.0f}] on {d.questions} questions "
            "that the search had not seen"
        )
        if self.kept and self.held_out[1].tokens > self.budget:
            measured += f", where it takes {self.held_out[1].tokens:.0f} tokens, over the budget"
        if failed := [f"{each.label} {each.failures}" for each in self.held_out if each.failures]:
            measured += f" (runs that failed count as wrong: {', '.join(failed)})"
        if self.is_over:
            return f"Kept the best setting within the budget: {measured}; {over}."
        if self.gained:
            return f"Gained: {measured}."
        if self.kept:
            return f"The gain isn't significant: {measured}."
        return f"Nothing was gained: {measured}; the default params are kept."


@dataclass
class Fitter:
    """Fits the params and prompts of a strategy.

    Attributes:
        strategy: a built-in name, or the path of a spec.
        task: the questions; each part of the split needs at least `LEAST`.
        metric: judges the answers.
        space: the search space.
        config: the model, its seed and settings.
        trials: maximum number of different settings, including the default.
        share: share of the questions that the search uses; the rest is held out.
        tokens: maximum of sampled tokens per question; None: a tenth more than the default takes.
        extract: the extractor of nodes that set none, in short form; None: that of the questions.
        tell: called with each trial.
        spent: called with the number of new tokens of every sample.
    """

    strategy: str
    task: Task
    metric: Metric
    space: Space
    config: Config
    trials: int = 20
    share: float = 0.5
    tokens: int | None = None
    extract: Any = None
    tell: Callable[[Trial], None] = lambda trial: None
    spent: Callable[[int], None] = lambda tokens: None

    async def fit(self, out: Path) -> Fit:
        """Search, then evaluate the winner. The same folder resumes an earlier search.

        Raises:
            ThinkgraphError: there are too few questions, or a run of the default params failed.
            StoreError: the database can't be used.
        """
        search, rest = self.parts()
        with self.config.host.open() as hosted:
            graph = self.variant("default", {}, {}).load()
            for setting in self.space.single:
                graph.check_hosted(setting, **hosted)
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"can't make the folder {out}: {error.strerror}") from None
            scope = digest("fit", self.task.name, self.config.name, self.config.seed)
            with Store(out / DATABASE, scope, self.spent) as store:
                runner = self.config.runner(store, hosted)
                fit = await self._searched(runner, search)
                return await self._judge(fit, runner, rest) if fit.found else fit

    async def _searched(self, runner: Runner, questions: Sequence[Question]) -> Fit:
        search = _Search(self, runner, questions)
        best, default = await search.run()
        return Fit(
            strategy=self.strategy,
            trials=tuple(search.trials),
            best=best,
            default=default,
            budget=search.budget,
            searched=len(questions),
        )

    def parts(self) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
        """The questions to search on and the held-out ones, both in random order.

        A question that the data repeats is used once: its answers are not independent.

        Raises:
            ThinkgraphError: there are too few questions for two parts.
        """
        different = {each.key: each for each in reversed(self.task.questions)}
        ordered = shuffled(tuple(different.values()), self.config.seed)
        count = round(len(ordered) * self.share)
        search, rest = ordered[:count], ordered[count:]
        if min(len(search), len(rest)) < LEAST:
            raise ThinkgraphError(
                f"{len(ordered)} different questions are too few to search on {self.share:.0%} of "
                f"them and judge on the rest: each part needs {LEAST}, and a hundred to tell "
                "anything"
            )
        return search, rest

    async def _judge(self, fit: Fit, runner: Runner, rest: Sequence[Question]) -> Fit:
        """Compare the winner with the default on the held-out questions."""
        pair = (
            self.variant("default", fit.default.params, fit.default.prompts),
            self.variant("fitted", fit.best.params, fit.best.prompts),
        )
        rows = await runner.run(rest, pair)
        comparison = Comparison(
            task=self.task.name,
            model=self.config.name,
            seed=self.config.seed,
            metric=self.metric.name,
            variants=pair,
            questions=tuple(rest),
            rows=tuple(rows),
        )
        summary = summarize(comparison, self.metric)
        (difference,) = summary.differences
        update = {"held_out": summary.strategies, "difference": difference}
        return fit.model_copy(update=update)

    def variant(self, label: str, params: dict[str, Scalar], prompts: dict[str, str]) -> Variant:
        """The strategy with the params and prompts of a setting, and those that are fixed."""
        own = self.prompts(prompts)
        return Variant.of(
            label,
            self.strategy,
            self.space.fixed | params,
            prompts=self.config.prompts,
            own=own,
            extract=self.extract,
        )

    def prompts(self, labels: dict[str, str]) -> dict[str, Prompt]:
        """The prompts of a setting, by name, without the built-in ones."""
        choices = self.space.prompts
        return {n: choices[n][label] for n, label in labels.items() if label != BUILT_IN}


class _Search:
    """State of one search."""

    def __init__(self, fitter: Fitter, runner: Runner, questions: Sequence[Question]) -> None:
        self._fitter, self._runner, self._questions = fitter, runner, questions
        self.trials: list[Trial] = []
        self.budget = float(fitter.tokens or 0)
        self._default_tokens: dict[int, float] = {}
        """Mean tokens of the default params, by number of questions."""

    async def run(self) -> tuple[Trial, Trial]:
        """Search, and return the best trial and the default's."""
        optuna.logging.set_verbosity(logging.WARNING)
        space = self._fitter.space
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=self._fitter.config.seed, n_startup_trials=6),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        )
        study.enqueue_trial(self._default())
        wanted = min(self._fitter.trials, space.size)
        for _ in range(wanted * ASKS):
            if len(self.trials) == wanted:
                break
            await self._try(study, study.ask())
        default = self.trials[0]
        fits = [each for each in self.trials if not each.ended and each.tokens <= self.budget]
        return max(fits or [default], key=lambda trial: trial.rank), default

    def _default(self) -> dict[str, Any]:
        params = self._fitter.variant("", {}, {}).load().bind(self._fitter.space.fixed)
        chosen: dict[str, Any] = {name: params[name] for name in self._fitter.space.params}
        return chosen | {_dimension(name): BUILT_IN for name in self._fitter.space.prompts}

    async def _try(self, study: optuna.Study, asked: optuna.trial.Trial) -> None:
        space = self._fitter.space
        params = {n: asked.suggest_categorical(n, values) for n, values in space.params.items()}
        prompts = {
            name: str(asked.suggest_categorical(_dimension(name), list(choices)))
            for name, choices in space.prompts.items()
        }
        known = next((t for t in self.trials if (t.params, t.prompts) == (params, prompts)), None)
        trial = known or await self._evaluate(asked, params, prompts)
        if trial.ended:
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(asked, trial.share)
        if known is None:
            self.trials.append(trial)
            self._fitter.tell(trial)

    async def _evaluate(
        self, asked: optuna.trial.Trial, params: dict[str, Any], prompts: dict[str, str]
    ) -> Trial:
        """Run a setting on growing parts of the questions until it is pruned or complete."""
        is_default = not self.trials
        variant = self._fitter.variant(str(params | prompts), params, prompts)
        for rung in RUNGS:
            count = max(1, round(len(self._questions) * rung))
            part = self._questions[:count]
            rows = await self._runner.run(part, [variant])
            trial = self._scored(part, rows, params, prompts)
            if is_default:
                self._default_tokens[count] = trial.tokens
            ended, is_over = trial.ended, trial.tokens > self._limit(count)
            if not is_over:  # a setting falls behind those alone that the budget allows
                asked.report(trial.share, count)
            if not (is_default or ended):
                if is_over:
                    ended = "too many tokens"
                elif rung < 1 and asked.should_prune():
                    ended = "behind the others"
            if ended:
                return trial.model_copy(update={"ended": ended})
        if is_default and not self.budget:
            self.budget = trial.tokens * MARGIN
        return trial

    def _limit(self, count: int) -> float:
        """The token limit on the first `count` questions, scaled by the default's tokens there.

        For the default itself it is the whole budget, or none if that is derived from it.
        """
        if not self.trials:
            return self.budget or math.inf
        whole = self.trials[0].tokens
        share = self._default_tokens[count] / whole if whole else 1.0
        return self.budget * share  # in this order, so that all questions have the exact budget

    def _scored(
        self,
        questions: Sequence[Question],
        rows: Sequence[Row],
        params: dict[str, Any],
        prompts: dict[str, str],
    ) -> Trial:
        failed = [row.failure for row in rows if row.failure]
        is_default, all_failed = not self.trials, len(failed) == len(rows)
        if is_default and all_failed:
            raise ThinkgraphError(f"every run with the default params failed: {failed[0]}")
        by_id = {row.question: row for row in rows}
        scores = [self._fitter.metric.score_row(each, by_id[each.id]).value for each in questions]
        return Trial(
            params=params,
            prompts=prompts,
            share=mean(scores),
            tokens=mean([row.tokens for row in rows if row.failure is None]),
            questions=len(questions),
            failures=len(failed),
            ended=f"every run failed: {failed[0]}" if all_failed else "",
        )


def _dimension(prompt: str) -> str:
    """The Optuna name of a prompt; its colon keeps it distinct from the params' names."""
    return f"prompt:{prompt}"
