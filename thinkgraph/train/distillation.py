"""Distillation: an adapter whose direct answers are as good as those of a strategy.

A strategy samples answers, an adapter is trained on those that are verified, and the adapted model
answers directly. These are the expectation and the maximization step of ReST-EM (arXiv 2312.06585,
section 3), there without a strategy. As there, each round samples from the adapter of the round
before; but ReST-EM trains each round from the base model, and here the training continues from
that adapter. A gate decides whether the adapter is kept: on held-out questions its direct answers
must be significantly better than those of the original model.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkgraph.evaluate.analysis.summary import Summary, summarize
from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.compare import compare
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.models.model import Frozen, Message
from thinkgraph.nodes.tools.host_files import HostFiles
from thinkgraph.train.errors import TrainError, need
from thinkgraph.train.example import Conversation, divide, refuse_shared
from thinkgraph.train.fine_tuning import Report, fine_tune
from thinkgraph.train.folder import ADAPTER, working_folder
from thinkgraph.train.outputs import check_gguf_name, refuse_same, written
from thinkgraph.train.progress import TrainProgress
from thinkgraph.train.samples import Counts, Selection, select
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import Point, Tell
from thinkgraph.train.weights.base import bare_model

DIRECT = "direct"


class Round(Frozen):
    """One round: answers sampled, an adapter trained."""

    number: int
    adapter: Path
    samples: int = Field(description="number of samples of the strategy")
    verified: int
    copies: int = Field(description="number of verified samples that were dropped as near-copies")
    kept: int = Field(description="number of samples kept, for training or held out for evaluation")
    questions: int = Field(description="number of questions with a kept sample")
    sampled_tokens: int = Field(description="number of tokens that sampling took")
    sampled_s: float = Field(description="seconds that sampling took")
    training: Report


class Cost(Frozen):
    """The cost of the training, and of an answer before and after it."""

    sampled_tokens: int
    sampled_s: float
    trained_tokens: int
    trained_s: float
    before_tokens: float = Field(
        description="mean number of sampled tokens per answer of the strategy"
    )
    before_s: float
    after_tokens: float = Field(
        description="mean number of sampled tokens per direct answer of the adapted model"
    )
    after_s: float

    @property
    def pays_after(self) -> int | None:
        """Number of questions after which the saved seconds offset the training; None: never."""
        saved = self.before_s - self.after_s
        return math.ceil((self.sampled_s + self.trained_s) / saved) if saved > 0 else None


class Distilled(Frozen):
    """The result of a distillation."""

    rounds: tuple[Round, ...]
    comparison: Comparison
    summary: Summary
    winner: int | None = Field(
        description="number of the round whose adapter is the result; None: no round passed the "
        "gate"
    )
    cost: Cost

    @property
    def verdict(self) -> str:
        """The gate's decision, in one sentence."""
        label = _label(self.winner) if self.winner else _label(len(self.rounds))
        found = next(each for each in self.summary.differences if each.label == label)
        spread = f"{found.points:+.0f} points [{found.low:+.0f}, {found.high:+.0f}]"
        on = f"on {found.questions} held-out questions"
        if self.winner:
            return f"The gate is passed: round {self.winner} is better by {spread} {on}."
        return (
            f"The gate is not passed: no round is significantly better than the original "
            f"model; the last differs by {spread} {on}. No adapter was written."
        )


@dataclass(frozen=True)
class Plan:
    """The settings of a distillation.

    Attributes:
        strategy: the strategy that samples the answers.
        model: the name of the model.
        out: the adapter's file.
        selection: which samples the adapter is trained on.
        settings: the settings of each training.
        rounds: number of rounds; each starts from the adapter of the one before.
        engine: engine settings.
        seed: the seed of all random numbers.
        at_once: number of concurrent runs.
        base: a Hugging Face folder with the original weights; None uses those of the GGUF.
        host: the files of the tools and verifiers that the strategies name.
        beside: further strategies of the original model, for the comparison at the end.
        replace: discard trainings with other settings in the same folder.
    """

    strategy: Variant
    model: str
    out: Path
    selection: Selection = field(default_factory=Selection)
    settings: TrainSettings = field(default_factory=TrainSettings)
    rounds: int = 1
    engine: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    at_once: int = 24
    base: str | None = None
    host: HostFiles = field(default_factory=HostFiles)
    beside: tuple[Variant, ...] = ()
    replace: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the database and of the rounds' adapters."""
        return self.out.with_name(f"{self.out.name}.distill")


def divide_task(task: Task, tested: int, seed: int) -> tuple[Task, Task]:
    """Split the questions into those to sample from and those of the gate, without overlap.

    Args:
        task: all questions.
        tested: number of questions for the gate.
        seed: of the random choice.

    Raises:
        TrainError: there are too few different questions.
    """
    conversations = [asked(each) for each in task.questions]
    count = len({each.key for each in conversations})
    if tested >= count:
        raise TrainError(
            f"--test {tested}: the data has only {count} different questions; lower --test or "
            "give --test-data FILE"
        )
    apart = {each.key for each in divide(conversations, tested, seed).held_out}
    pairs = list(zip(task.questions, conversations, strict=True))
    sampled = tuple(question for question, each in pairs if each.key not in apart)
    test = tuple(question for question, each in pairs if each.key in apart)
    return (
        task.model_copy(update={"questions": sampled}), task.model_copy(update={"questions": test})
    )  # fmt: skip


def asked(question: Question) -> Conversation:
    """A question as a conversation whose answer is empty."""
    turns = (Message(role="user", content=question.text), Message(role="assistant"))
    return Conversation((*question.messages, *turns))


async def distill(
    plan: Plan,
    task: Task,
    test: Task,
    metric: Metric,
    *,
    tell: Callable[[str], None] = lambda line: None,
    progress: Callable[[], TrainProgress] = lambda: TrainProgress(shown=False),
    spent: Callable[[int], None] = lambda tokens: None,
) -> Distilled:
    """Sample, verify and train, round by round, then compare; a second call resumes the first.

    Args:
        plan: the settings.
        task: the questions to sample from.
        test: the questions of the gate.
        metric: judges the answers.
        tell: called with a line of text at the beginning of each part.
        progress: makes the display of a round's training.
        spent: called with the number of new tokens of every sample.

    Raises:
        TrainError: a question is in both parts, no sample is verified, or a file can't be written.
        ModelError: the model can't be opened or trained.
    """
    need()
    check_out(plan)
    task = _distinct(task, "to sample from", tell)
    test = _distinct(test, "of the gate", tell)
    refuse_shared(
        list(map(asked, task.questions)), list(map(asked, test.questions)), "the test data"
    )
    rounds: list[Round] = []
    for number in range(1, plan.rounds + 1):
        last = rounds[-1].adapter if rounds else None
        sampled = await _sample(plan, number, last, task, tell=tell, spent=spent)
        rounds.append(
            await _train(
                plan, number, last, sampled, task=task, metric=metric, tell=tell, progress=progress
            )
        )
    tell(f"comparing on {len(test.questions)} held-out questions")
    comparison = await compare(
        test, _competitors(plan, rounds), _config(plan, plan.model), plan.folder, spent=spent
    )
    summary = summarize(comparison, metric)
    winner = _winner(summary, rounds)
    cost = _cost(plan, rounds, summary, winner or len(rounds))
    result = Distilled(
        rounds=tuple(rounds), comparison=comparison, summary=summary, winner=winner, cost=cost
    )
    if winner:
        _deliver(rounds[winner - 1].adapter, plan.out)
    return result


def check_out(plan: Plan) -> None:
    """Refuse an output that is no adapter's name, an input, or not of a distillation.

    Raises:
        ModelError: the model can't be found.
        TrainError: the message says what is wrong with the output.
    """
    check_gguf_name(plan.out)
    refuse_same(plan.out, bare_model(plan.model))
    if plan.out.exists() and not (plan.replace or plan.folder.exists()):
        raise TrainError(
            f"{plan.out} exists, and no distillation of it in {plan.folder}; --replace replaces "
            "it, and another --out keeps it"
        )


def _distinct(task: Task, where: str, tell: Callable[[str], None]) -> Task:
    """The task without repeated questions, which would count one fact several times."""
    first = {each.key: each for each in reversed(task.questions)}
    questions = tuple(each for each in task.questions if first[each.key] is each)
    if dropped := len(task.questions) - len(questions):
        tell(f"{dropped} repeated questions {where} were dropped")
    return task.model_copy(update={"questions": questions})


async def _sample(
    plan: Plan,
    number: int,
    last: Path | None,
    task: Task,
    *,
    tell: Callable[[str], None],
    spent: Callable[[int], None],
) -> Comparison:
    """The strategy's samples of a round, from the adapter of the round before."""
    tell(f"round {number}: {plan.strategy.label} samples from {len(task.questions)} questions")
    model = f"{plan.model}+{last}" if last else plan.model
    strategy = plan.strategy.model_copy(update={"model": model})
    return await compare(task, [strategy], _config(plan, model), plan.folder, spent=spent)


async def _train(
    plan: Plan,
    number: int,
    last: Path | None,
    sampled: Comparison,
    *,
    task: Task,
    metric: Metric,
    tell: Callable[[str], None],
    progress: Callable[[], TrainProgress],
) -> Round:
    """Train a round's adapter on the verified samples, from the adapter of the round before."""
    conversations, counts = select(sampled.rows, task.questions, metric, plan.selection)
    _check(counts, plan)
    trained, measured = divide(conversations, plan.settings.held_out, plan.seed)
    tell(
        f"round {number}: {counts.verified} of {counts.samples} samples verified, {counts.copies} "
        f"near-copies dropped, {counts.kept} kept, of {counts.questions} questions; "
        f"{len(measured)} held out to measure on"
    )
    out = plan.folder / f"round-{number}.gguf"
    train = partial(
        fine_tune, trained, measured, bare_model(plan.model), out, plan.settings,
        base=plan.base, start=working_folder(last) / ADAPTER if last else None,
        replace=plan.replace,
    )  # fmt: skip
    with progress() as shown:
        report = await in_thread(lambda tell: train(tell=tell), shown.take)
    return Round(
        number=number,
        adapter=out,
        samples=counts.samples,
        verified=counts.verified,
        copies=counts.copies,
        kept=counts.kept,
        questions=counts.questions,
        sampled_tokens=sampled.spent.completion_tokens,
        sampled_s=sampled.seconds,
        training=report,
    )


class _Stopped(Exception):
    """Raised at the next step to end a cancelled training."""


async def in_thread(train: Callable[[Tell], Report], tell: Tell) -> Report:
    """Train in a thread, so that the event loop isn't blocked; if cancelled, stop after the step.

    Args:
        train: called in the thread with a callback, which it must call at every step.
        tell: called at every step, in that thread.
    """
    cancelled = threading.Event()

    def told(step: int, of: int, point: Point | None) -> None:
        if cancelled.is_set():
            raise _Stopped
        tell(step, of, point)

    try:
        return await asyncio.to_thread(train, told)
    except asyncio.CancelledError:
        cancelled.set()
        raise


def _check(counts: Counts, plan: Plan) -> None:
    if counts.questions >= 2:
        return
    how = "right" if plan.selection.verify == "metric" else "of a clear vote's answer"
    raise TrainError(
        f"{counts.verified} of {counts.samples} samples of {plan.strategy.label} are {how}, "
        "too few to train on; take easier questions, more samples or a stronger strategy"
    )


def _config(plan: Plan, model: str) -> Config:
    return Config(model, settings=plan.engine, seed=plan.seed, at_once=plan.at_once, host=plan.host)


def _label(number: int) -> str:
    return f"{DIRECT} (round {number})" if number else f"{DIRECT} (model)"


def _strategy_label(plan: Plan) -> str:
    """The strategy's label, distinct from those of direct answers, since it may be `direct` too."""
    return f"{plan.strategy.label} (strategy)"


def _competitors(plan: Plan, rounds: Sequence[Round]) -> list[Variant]:
    """Direct answers of the model (the baseline) and of each round's adapter; then strategies."""
    direct = Variant.parse(DIRECT, _shared_params(plan), {}, plan.strategy.extract)
    models = [plan.model, *(f"{plan.model}+{each.adapter}" for each in rounds)]
    found = [
        direct.model_copy(update={"label": _label(number), "model": model})
        for number, model in enumerate(models)
    ]
    sampling = {"label": _strategy_label(plan), "model": plan.model}
    beside = [
        each.model_copy(update={"label": f"{each.label} (beside)", "model": plan.model})
        for each in plan.beside
    ]
    return [*found, plan.strategy.model_copy(update=sampling), *beside]


def _shared_params(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in plan.strategy.params.items() if name == "max_tokens"}


def _winner(summary: Summary, rounds: Sequence[Round]) -> int | None:
    """The most accurate round among those that pass the gate; None if none passes."""
    differences = {each.label: each for each in summary.differences}
    shares = {each.label: each.share for each in summary.strategies}
    passed = [each.number for each in rounds if differences[_label(each.number)].better]
    return max(passed, key=lambda number: shares[_label(number)], default=None)


def _cost(plan: Plan, rounds: Sequence[Round], summary: Summary, number: int) -> Cost:
    by_label = {each.label: each for each in summary.strategies}
    before, after = by_label[_strategy_label(plan)], by_label[_label(number)]
    return Cost(
        sampled_tokens=sum(each.sampled_tokens for each in rounds),
        sampled_s=sum(each.sampled_s for each in rounds),
        trained_tokens=sum(each.training.tokens for each in rounds),
        trained_s=sum(each.training.seconds for each in rounds),
        before_tokens=before.tokens,
        before_s=before.seconds,
        after_tokens=after.tokens,
        after_s=after.seconds,
    )


def _deliver(adapter: Path, out: Path) -> None:
    try:
        with written(out) as part:
            shutil.copyfile(adapter, part)
    except TrainError as error:
        raise TrainError(f"{error}; the adapter is {adapter}") from error
