"""Reinforcement learning with a verifiable reward: GRPO (arXiv 2402.03300, section 4.1) with trl.

The reward of a sampled answer is its score by a comparison's metric: 1 is right. transformers
draws the samples, not the engine, so all but tiny models need a GPU. The loss has no KL term, so
nothing but the small learning rate keeps the policy close to the model.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Message, ModelRequest
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.nodes.answers import parse_extractor
from thinkgraph.train.errors import TrainError, need, quietly
from thinkgraph.train.fine_tuning import opened_vocabulary, save
from thinkgraph.train.folder import (
    TrainingRecord,
    find_record,
    restored,
    working_folder,
    write_record,
)
from thinkgraph.train.outputs import check_gguf_name, refuse_same
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import Tell, adapted, progress_callback
from thinkgraph.train.weights.adapter import check_adapted
from thinkgraph.train.weights.base import load_base, load_tokenizer

LEARNING_RATE = 1e-5
UNFIT = ("micro_batch", "max_length", "held_out", "evaluate_every", "patience")
"""Settings that don't apply to reinforcement learning."""


class RewardRecord(TrainingRecord):
    """The report of a finished reinforcement."""

    rewards: tuple[float, ...] = Field(description="the mean reward of each step")


def reinforce(
    questions: Sequence[Question],
    metric: Metric,
    model: Path,
    out: Path,
    settings: TrainSettings,
    *,
    group: int = 8,
    longest_answer: int = 256,
    base: str | None = None,
    replace: bool = False,
    tell: Tell = lambda step, of, point: None,
) -> list[float]:
    """Train an adapter on the rewards of its own samples.

    Args:
        questions: the questions, with right answers.
        metric: gives the reward.
        model: the GGUF.
        out: the adapter's file, a GGUF.
        settings: the settings of the training; a `batch` is of samples, and a multiple of
            ``group``. The default learning rate is `LEARNING_RATE`, as the rates of supervised
            training make a policy collapse. Settings for held-out data, `micro_batch` and
            `max_length` don't apply.
        group: number of samples of a question, whose rewards are relative to their mean.
        longest_answer: maximum number of tokens of a sample.
        base: a Hugging Face folder with the original weights; None uses those of the GGUF.
        replace: discard another training in the same folder, or another file at ``out``.
        tell: called after every step.

    Returns:
        The mean reward of each step.

    Raises:
        TrainError: a package is missing, the batch is no multiple of the group, a setting doesn't
            apply, another training is in the same folder, or the model can't be trained.
    """
    need("torch", "transformers", "peft", "accelerate", "trl", "datasets", "gguf")
    check_gguf_name(out)
    refuse_same(out, model)
    _check(settings, group)
    asked = digest(
        "grpo", file_key(model), base, [each.model_dump(mode="json") for each in questions],
        metric.name, group, longest_answer, settings.model_dump(exclude={"threads"}),
    )  # fmt: skip
    known = find_record(out, RewardRecord, asked, replace=replace)
    if known and restored(out, model):
        return list(known.rewards)
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)
    with quietly():
        loaded = load_base(model, base, precision=settings.precision, quantize=settings.quantize)
        weights = adapted(loaded, settings)
        check_adapted(weights, model)
    folder = working_folder(out)
    shutil.rmtree(folder, ignore_errors=True)
    arguments = _arguments(settings, len(questions), group, longest_answer, folder)
    tokenizer = load_tokenizer(model, base)
    trainer = _trainer(weights, tokenizer, questions, metric, model=model, arguments=arguments)
    trainer.add_callback(progress_callback(tell))
    with quietly():
        trainer.train()
        save(weights, folder, model, out)
    shutil.rmtree(folder / "grpo", ignore_errors=True)
    rewards = [each["reward"] for each in trainer.state.log_history if "reward" in each]
    write_record(folder, RewardRecord(digest=asked, settings=settings, rewards=tuple(rewards)))
    return rewards


def _trainer(
    weights: Any,
    tokenizer: Any,
    questions: Sequence[Question],
    metric: Metric,
    *,
    model: Path,
    arguments: Any,
) -> Any:
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOTrainer

    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with closing(opened_vocabulary(model)) as opened:
        asked = [[*q.messages, Message(role="user", content=q.text)] for q in questions]
        prompts = [opened.render(ModelRequest(messages))[0] for messages in asked]
    rows = [
        {"prompt": without_second_bos(text, tokenizer), "number": number}
        for number, text in enumerate(prompts)
    ]

    def reward(completions: list[str], number: list[int], **rest: Any) -> list[float]:
        pairs = zip(completions, number, strict=True)
        return [score(questions[n], text, metric) for text, n in pairs]

    trainer = GRPOTrainer(
        model=weights,
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)  # the progress is shown by the callback of `reinforce`
    return trainer


def _check(settings: TrainSettings, group: int) -> None:
    if settings.batch % group:
        raise TrainError(
            f"--set batch={settings.batch}: it must be a multiple of {group}, the samples per "
            f"question; try --set batch={group}"
        )
    if unfit := [name for name in UNFIT if name in settings.model_fields_set]:
        raise TrainError(f"--set {unfit[0]} doesn't apply to reinforcement; leave it out")


def _arguments(
    settings: TrainSettings, count: int, group: int, longest_answer: int, folder: Path
) -> Any:
    import torch
    from trl import GRPOConfig

    epoch = count * group / settings.batch  # in steps, each of batch / group questions
    steps = settings.steps or max(1, round(settings.epochs * epoch))
    chosen = "learning_rate" in settings.model_fields_set
    return GRPOConfig(
        output_dir=str(folder / "grpo"),
        per_device_train_batch_size=settings.batch,
        num_generations=group,
        loss_type="grpo",  # as in the paper; the default is that of DAPO (arXiv 2503.14476)
        beta=0.0,  # the weight of the KL term
        max_completion_length=longest_answer,
        max_steps=steps,
        learning_rate=settings.learning_rate if chosen else LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup * steps),
        seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def without_second_bos(prompt: str, tokenizer: Any) -> str:
    """A prompt without its BOS token's text, if the tokenizer would add that token again."""
    begin = tokenizer.bos_token
    if begin and prompt.startswith(begin):
        ids = tokenizer(prompt)["input_ids"][:2]
        if ids == [tokenizer.bos_token_id] * 2:
            return prompt.removeprefix(begin)
    return prompt


def score(question: Question, text: str, metric: Metric) -> float:
    """The reward of a sample: its score in a comparison, by the best of several right answers."""
    answer = parse_extractor(question.extract or "auto")(text)
    row = Row(
        question=question.id, strategy="grpo", answer=answer, text=text, tokens=0,
        prompt_tokens=0, calls=1,
    )  # fmt: skip
    return metric.score_row(question, row).value
