"""Reinforcement learning with a verifiable reward: GRPO (arXiv 2402.03300, section 4.1) of trl.

The reward of a sampled answer is what the metric of a comparison gives it: 1 is right. Sampling is
by transformers and not by the engine, so it wants a GPU for anything but a tiny model.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Message
from thinkgraph.nodes.answers import parse_extractor
from thinkgraph.train.errors import TrainError, need, quietly
from thinkgraph.train.fine_tuning import REPORT, opened_vocabulary, save, working_folder
from thinkgraph.train.outputs import check_gguf_name, refuse_same
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import Tell, adapted, progress_callback
from thinkgraph.train.weights.adapter import check_adapted
from thinkgraph.train.weights.base import load_base

LEARNING_RATE = 1e-5
UNFIT = ("micro_batch", "max_length", "held_out", "evaluate_every", "patience")
"""Settings that reinforcement has no use for."""


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
    """Train an adapter by the rewards of its own samples.

    Args:
        questions: with right answers.
        metric: the reward.
        model: the GGUF.
        out: the adapter, a GGUF.
        settings: how; a `batch` is of samples, and a multiple of ``group``. Unless it is set, the
            learning rate is `LEARNING_RATE`, as a policy is lost at one that suits imitation. What
            measures on held-out data, and `micro_batch` and `max_length`, don't apply.
        group: samples of a question, which are rewarded against their mean.
        longest_answer: tokens of a sample at most.
        base: a Hugging Face folder with the original weights; None takes the GGUF's.
        replace: throw away a supervised training in the same place.
        tell: told after every step.

    Returns:
        The mean reward of each step.

    Raises:
        TrainError: a package is missing, the batch is no multiple of the group, a setting doesn't
            apply, another training is in the same place, or the model can't be trained.
    """
    need("torch", "transformers", "peft", "accelerate", "trl", "datasets", "gguf")
    check_gguf_name(out)
    refuse_same(out, model)
    folder = working_folder(out)
    _check(settings, group, folder, replace=replace)
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, set_seed
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOTrainer

    if settings.threads:
        torch.set_num_threads(settings.threads)
    set_seed(settings.seed)
    with quietly():
        loaded = load_base(model, base, precision=settings.precision, quantize=settings.quantize)
        weights = adapted(loaded, settings)
        check_adapted(weights, model)
    tokenizer = AutoTokenizer.from_pretrained(
        base or str(model.parent), **({} if base else {"gguf_file": model.name})
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with closing(opened_vocabulary(model)) as opened:
        prompts = [
            opened.render([*each.messages, Message(role="user", content=each.text)])[0]
            for each in questions
        ]
    rows = [
        {"prompt": without_second_bos(text, tokenizer), "number": number}
        for number, text in enumerate(prompts)
    ]

    def reward(completions: list[str], number: list[int], **rest: Any) -> list[float]:
        pairs = zip(completions, number, strict=True)
        return [score(questions[n], text, metric) for text, n in pairs]

    shutil.rmtree(folder, ignore_errors=True)
    trainer = GRPOTrainer(
        model=weights,
        reward_funcs=reward,
        args=_arguments(settings, len(rows), group, longest_answer, folder),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[progress_callback(tell)],
    )
    trainer.remove_callback(PrinterCallback)  # the progress is shown by ``tell``
    with quietly():
        trainer.train()
        save(weights, folder, model, out)
    shutil.rmtree(folder / "grpo", ignore_errors=True)
    return [each["reward"] for each in trainer.state.log_history if "reward" in each]


def _check(settings: TrainSettings, group: int, folder: Path, *, replace: bool) -> None:
    if settings.batch % group:
        raise TrainError(
            f"--set batch={settings.batch}: it must be a multiple of {group}, the samples per "
            f"question; try --set batch={group}"
        )
    if unfit := [name for name in UNFIT if name in settings.model_fields_set]:
        raise TrainError(f"--set {unfit[0]} doesn't apply to reinforcement; leave it out")
    if (folder / REPORT).exists() and not replace:
        raise TrainError(
            f"{folder} holds another training; --replace throws it away, and another --out keeps "
            "both"
        )


def _arguments(
    settings: TrainSettings, count: int, group: int, longest_answer: int, folder: Path
) -> Any:
    import torch
    from trl import GRPOConfig

    epoch = count * group / settings.batch  # steps: one is of batch / group questions
    steps = settings.steps or max(1, round(settings.epochs * epoch))
    chosen = "learning_rate" in settings.model_fields_set
    return GRPOConfig(
        output_dir=str(folder / "grpo"),
        per_device_train_batch_size=settings.batch,
        num_generations=group,
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
    """A prompt without its first token's text, where the tokenizer adds that token by itself."""
    begin = tokenizer.bos_token
    if begin and prompt.startswith(begin):
        ids = tokenizer(prompt)["input_ids"][:2]
        if ids == [tokenizer.bos_token_id] * 2:
            return prompt.removeprefix(begin)
    return prompt


def score(question: Question, text: str, metric: Metric) -> float:
    """The reward of a sample: what a comparison gives it, by any of its right answers."""
    answer = parse_extractor(question.extract or "auto")(text)
    row = Row(
        question=question.id, strategy="grpo", answer=answer, text=text, tokens=0,
        prompt_tokens=0, calls=1,
    )  # fmt: skip
    return metric.score_row(question, row).value
