"""llama.cpp's DRY sampler, which lowers the logits of tokens that would prolong a repetition.

To know where its breakers may begin, it reads the whole vocabulary as it is made. So one is made
for each vocabulary and setting, and each sample gets a copy.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any
from weakref import WeakKeyDictionary

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.model import Sampling

_BREAKER = 40  # bytes of a breaker, of which llama.cpp takes no more
_KEPT = 16  # settings of one vocabulary


class _Prototypes:
    """The samplers of one vocabulary that are copied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[object, ...], Any] = {}

    def copy(self, vocabulary: Vocabulary, s: Sampling) -> Any:
        looks_back = s.dry_penalty_last_n if s.dry_penalty_last_n > 0 else s.max_tokens
        window = min(looks_back, s.max_tokens)
        numbers = (s.dry_multiplier, s.dry_base, s.dry_allowed_length, window)
        key = (numbers, s.dry_sequence_breakers)
        with self._lock:
            if key not in self._made:
                if len(self._made) >= _KEPT:
                    llama.llama_sampler_free(self._made.pop(next(iter(self._made))))
                self._made[key] = _make(vocabulary, numbers, s.dry_sequence_breakers)
            return llama.llama_sampler_clone(self._made[key])

    def __del__(self) -> None:
        for sampler in self._made.values():
            llama.llama_sampler_free(sampler)


_prototypes: WeakKeyDictionary[Vocabulary, _Prototypes] = WeakKeyDictionary()


def uses_dry(sampling: Sampling) -> bool:
    """Whether a sampling asks for DRY."""
    return sampling.dry_multiplier > 0 and sampling.dry_penalty_last_n != 0


def dry_sampler(vocabulary: Vocabulary, sampling: Sampling) -> Any:
    """A DRY sampler that has seen no token; whoever asks for it frees it."""
    return _prototypes.setdefault(vocabulary, _Prototypes()).copy(vocabulary, sampling)


def _make(
    vocabulary: Vocabulary, numbers: tuple[float, float, int, int], breakers: tuple[str, ...]
) -> Any:
    texts = [_cut(text) for text in breakers if text and "\0" not in text]
    array = (ctypes.c_char_p * len(texts))(*texts)
    with vocabulary.open() as pointer:
        return llama.llama_sampler_init_dry(pointer, *numbers, array, len(texts))


def _cut(text: str) -> bytes:
    """A text's beginning of at most so many bytes, in whole characters."""
    return text.encode()[:_BREAKER].decode("utf-8", "ignore").encode()
