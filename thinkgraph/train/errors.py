"""Errors of training, and the check for its packages."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from thinkgraph.models.errors import ThinkgraphError

PACKAGES = ("torch", "transformers", "peft", "accelerate", "gguf")
"""Packages that supervised fine-tuning needs; all are in the extra `train`."""


class TrainError(ThinkgraphError):
    """A training can't start or continue."""


def need(*packages: str) -> None:
    """Check that packages are installed, by default those of supervised fine-tuning.

    Raises:
        TrainError: packages are missing; the message names them, and how to install them.
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
    """Suppress the warnings of the training packages."""
    logging.getLogger("gguf").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
