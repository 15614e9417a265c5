"""Supervised fine-tuning: LoRA on the base weights, with the trainer of transformers.

Padding is on the left, so that the answers, which alone have a loss, are at the end of every row.
The output layer is computed for these positions only (`logits_to_keep`), which with a small model
and short answers is a third of the work.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import Example
from thinkgraph.train.memory import micro_batch
from thinkgraph.train.settings import LINEAR, TrainSettings

IGNORED = -100  # torch's label for positions without a loss
MEASUREMENTS = 10


class Point(NamedTuple):
    """A measurement during training."""

    step: int
    loss: float
    """Mean loss on the training data since the last measurement."""
    held_out_loss: float | None
    accuracy: float | None
    """Share of held-out answers whose every token is the most likely one (teacher forcing)."""


class Trained(NamedTuple):
    """The result of a training."""

    model: Any
    """The peft model, with the best adapter by the held-out loss."""
    points: list[Point]
    steps: int
    """Number of steps done; fewer than planned after early stopping."""
    best: int
    """The step of the best adapter."""
    seconds: float
    tokens: int
    """Number of tokens read in all epochs, including prompts."""


Tell = Callable[[int, int, Point | None], None]
"""Called with the step, the number of steps, and the last measurement."""


def adapted(base: Any, settings: TrainSettings) -> Any:
    """The base model with a new adapter, which has no effect yet; its seed is the settings'."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(settings.seed)
    targets: str | list[str] = settings.targets
    if targets != LINEAR:
        targets = [name.strip() for name in settings.targets.split(",")]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.scale * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, config)
    except ValueError as error:
        raise TrainError(f"the targets {settings.targets!r} don't fit: {error}") from error


def train(
    model: Any,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    settings: TrainSettings,
    folder: Path,
    *,
    tell: Tell = lambda step, of, point: None,
    saved: Callable[[float], None] = lambda seconds: None,
) -> Trained:
    """Train an adapter, resuming from the last complete checkpoint if there is one.

    Args:
        model: a peft model, whose adapter is trained.
        examples: the training examples.
        held_out: examples for evaluation; the adapter with the best loss on these is the result.
            If empty, the last adapter is the result.
        settings: the settings of the training.
        folder: the folder of the checkpoints.
        tell: called after every step.
        saved: called after every checkpoint, with the seconds since the start.

    Raises:
        TrainError: a checkpoint can't be written (earlier ones are kept), the loss is not
            finite, or the memory is too small for one example.
    """
    import torch
    from transformers import Trainer, set_seed
    from transformers.trainer_callback import PrinterCallback

    if settings.threads:
        torch.set_num_threads(settings.threads)
    set_seed(settings.seed)
    micro = settings.micro_batch or micro_batch(
        model, [*examples, *held_out], settings.batch, settings.precision
    )
    arguments = _arguments(settings, micro, len(examples), bool(held_out), folder)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        eval_dataset=list(held_out) or None,
        data_collator=collate,
        preprocess_logits_for_metrics=all_right,
        compute_metrics=_accuracy,
        callbacks=_callbacks(settings, bool(held_out), tell, saved),
    )
    trainer.remove_callback(PrinterCallback)  # the progress is shown by ``tell``
    seconds = _run(trainer, folder)
    if not all(bool(each.isfinite().all()) for each in model.parameters() if each.requires_grad):
        raise TrainError(
            "the training diverged: the adapter's weights are no numbers anymore; lower "
            "learning_rate, and start anew with --replace"
        )
    state = trainer.state
    best = state.best_model_checkpoint
    per_epoch = sum(len(each.prompt) + len(each.answer) for each in examples)
    return Trained(
        model,
        points(state.log_history),
        state.global_step,
        int(Path(best).name.rpartition("-")[2]) if best else state.global_step,
        seconds,
        round(per_epoch * (state.epoch or 0.0)),  # the last batch of an epoch may be smaller
    )


def _run(trainer: Any, folder: Path) -> float:
    """Train to the end, from the last complete checkpoint; return the seconds it took."""
    from safetensors import SafetensorError

    checkpoint = last_checkpoint(folder)
    try:
        done = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_of_writing(error):
            raise
        raise TrainError(
            f"a checkpoint can't be written to {folder}: {' '.join(str(error).split())[:160]}; "
            "earlier ones are kept, and the same command goes on from the last"
        ) from error
    return float(done.metrics.get("train_runtime", 0.0))


def _arguments(
    settings: TrainSettings, micro: int, count: int, measured: bool, folder: Path
) -> Any:
    import torch
    from transformers import TrainingArguments

    micro = min(micro, settings.batch)
    steps = settings.steps or math.ceil(settings.epochs * math.ceil(count / settings.batch))
    every = settings.evaluate_every or math.ceil(steps / MEASUREMENTS)
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=max(1, settings.batch // micro),
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup * steps),
        logging_strategy="steps",
        logging_steps=every,
        eval_strategy="steps" if measured else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=measured,
        restore_callback_states_from_checkpoint=True,  # for the remaining patience
        logging_nan_inf_filter=False,
        metric_for_best_model="eval_loss" if measured else None,
        seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _callbacks(
    settings: TrainSettings, measured: bool, tell: Tell, saved: Callable[[float], None]
) -> list[Any]:
    from transformers import EarlyStoppingCallback

    found: list[Any] = [progress_callback(tell, saved)]
    if settings.patience and measured:
        found.append(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    return found


def progress_callback(tell: Tell, saved: Callable[[float], None] = lambda seconds: None) -> Any:
    """A trainer callback that reports steps and checkpoints, and ends a diverged training.

    Raises, within the training:
        TrainError: the loss is not finite.
    """
    from transformers import TrainerCallback

    began = time.perf_counter()

    class Progress(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            tell(state.global_step, state.max_steps, None)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any], **rest: Any
        ) -> None:
            losses = [logs[name] for name in ("loss", "eval_loss") if name in logs]
            if not all(math.isfinite(each) for each in losses):
                raise TrainError(
                    f"the training diverged at step {state.global_step}: its loss is no number "
                    "anymore; lower learning_rate, and start anew with --replace"
                )

        def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            saved(time.perf_counter() - began)

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step >= state.max_steps:
                control.should_log = True  # the last measurement has a loss, too
            told = points(state.log_history)
            tell(state.global_step, state.max_steps, told[-1] if told else None)

    return Progress()


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """Make a batch, with rows padded on the left and labels for the answers' positions only.

    Returns:
        `input_ids` and `attention_mask`, (rows, longest); `labels`, (rows, longest answer + 1);
        `logits_to_keep`, that width. The 1 is there since logits predict the next token.
    """
    import torch

    width = max(len(each.prompt) + len(each.answer) for each in examples)
    kept = max(len(each.answer) for each in examples) + 1
    tokens = torch.zeros((len(examples), width), dtype=torch.long)
    mask = torch.zeros_like(tokens)
    labels = torch.full((len(examples), kept), IGNORED)
    for row, each in enumerate(examples):
        whole = [*each.prompt, *each.answer]
        tokens[row, width - len(whole) :] = torch.tensor(whole)
        mask[row, width - len(whole) :] = 1
        labels[row, kept - len(each.answer) :] = torch.tensor(each.answer)
    return {
        "input_ids": tokens,
        "attention_mask": mask,
        "labels": labels,
        "logits_to_keep": kept,
    }


def all_right(logits: Any, labels: Any) -> Any:
    """Whether every token of each row's answer is the most likely one: (rows, 1), of booleans."""
    if isinstance(logits, tuple):
        logits = logits[0]
    said, wanted = logits[:, :-1].argmax(-1), labels[:, 1:]
    return ((said == wanted) | (wanted == IGNORED)).all(1, keepdim=True)


def _accuracy(found: Any) -> dict[str, float]:
    return {"accuracy": float(found.predictions.mean())}


def points(history: Sequence[dict[str, Any]]) -> list[Point]:
    """The measurements in a trainer's log."""
    found: dict[int, dict[str, float]] = {}
    for each in history:
        found.setdefault(int(each["step"]), {}).update(each)
    return [
        Point(step, each["loss"], each.get("eval_loss"), each.get("eval_accuracy"))
        for step, each in sorted(found.items())
        if "loss" in each
    ]


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint; later, incomplete ones are removed.

    A checkpoint is complete if it has the trainer's state, which is written last.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=_number, reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text("utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
            continue
        return path
    return None


def _number(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _is_of_writing(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    text = str(error).casefold()
    return any(word in text for word in ("no space", "failed writing", "i/o error", "iostream"))
