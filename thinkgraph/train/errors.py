"""What goes wrong in training, and what is said where its packages are missing."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from thinkgraph.models.errors import ThinkgraphError

PACKAGES = ("torch", "transformers", "peft", "accelerate", "gguf")
"""What supervised fine-tuning imports; all are in the extra `train`."""


class TrainError(ThinkgraphError):
    """A training can't begin, or can't go on."""


def need(*packages: str) -> None:
    """Refuse to begin without the packages of the extra.

    Raises:
        TrainError: names those that are missing, and how to get them.
    """
    missing = [name for name in packages or PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainError(
            f'training needs {", ".join(missing)}; run: pip install "thinkgraph[train]" '
            "(on a machine without a GPU, first: pip install torch --index-url "
            "https://download.pytorch.org/whl/cpu)"
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps what the packages of the extra warn of from standard error."""
    logging.getLogger("gguf").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
