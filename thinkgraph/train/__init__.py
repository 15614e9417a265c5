"""Training: supervised fine-tuning, distillation of a strategy, and adapters in GGUF format.

Training needs torch, with the extra `pip install "thinkgraph[train]"`. Importing this package, its
names and its settings doesn't; functions that train raise an error that lists missing packages.
Each name is imported at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkgraph.train.distillation import Distilled as Distilled
    from thinkgraph.train.distillation import Plan as Plan
    from thinkgraph.train.distillation import distill as distill
    from thinkgraph.train.errors import TrainError as TrainError
    from thinkgraph.train.example import Conversation as Conversation
    from thinkgraph.train.example import divide as divide
    from thinkgraph.train.example import read_conversations as read_conversations
    from thinkgraph.train.fine_tuning import Report as Report
    from thinkgraph.train.fine_tuning import fine_tune as fine_tune
    from thinkgraph.train.reinforcement import reinforce as reinforce
    from thinkgraph.train.samples import Selection as Selection
    from thinkgraph.train.settings import TrainSettings as TrainSettings
    from thinkgraph.train.weights.adapter import from_gguf as from_gguf
    from thinkgraph.train.weights.adapter import to_gguf as to_gguf
    from thinkgraph.train.weights.merge import merge as merge

_MODULES = {
    "Conversation": "example",
    "Distilled": "distillation",
    "Plan": "distillation",
    "Report": "fine_tuning",
    "Selection": "samples",
    "TrainError": "errors",
    "TrainSettings": "settings",
    "distill": "distillation",
    "divide": "example",
    "fine_tune": "fine_tuning",
    "from_gguf": "weights.adapter",
    "merge": "weights.merge",
    "read_conversations": "example",
    "reinforce": "reinforcement",
    "to_gguf": "weights.adapter",
}
__all__ = sorted(_MODULES)  # noqa: PLE0605 (the names above)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
