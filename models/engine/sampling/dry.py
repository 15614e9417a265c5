"""llama.cpp's DRY sampler, which lowers the logits of tokens that would prolong a repetition.

llama.cpp scans the whole vocabulary for each breaker when it creates a DRY sampler. So one is made
for each vocabulary and setting, and each sample gets a copy.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.model import Sampling

_BREAKER = 40  # bytes of a breaker, of which llama.cpp takes no more
_KEPT = 16  # settings of one vocabulary


class _Settings(NamedTuple):
    """What a DRY sampler is made of."""

    multiplier: float
    base: float
    allowed_length: int
    window: int
    breakers: tuple[str, ...]


class _Prototypes:
    """The samplers of one vocabulary that are copied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[_Settings, Any] = {}

    def __contains__(self, settings: _Settings) -> bool:
        return settings in self._made

    def copy(self, vocabulary: Vocabulary, settings: _Settings) -> Any:
        with self._lock:
            if settings in self._made:
                return llama.llama_sampler_clone(self._made[settings])
        made = _make(vocabulary, settings)  # without the lock, which a step may wait for
        with self._lock:
            if settings in self._made:  # by another thread meanwhile
                return made
            if len(self._made) >= _KEPT:
                llama.llama_sampler_free(self._made.pop(next(iter(self._made))))
            self._made[settings] = made
            return llama.llama_sampler_clone(made)

    def __del__(self) -> None:
        for sampler in self._made.values():
            llama.llama_sampler_free(sampler)


_prototypes: WeakKeyDictionary[Vocabulary, _Prototypes] = WeakKeyDictionary()


def uses_dry(sampling: Sampling) -> bool:
    """Whether a sampling asks for DRY."""
    return sampling.dry_multiplier > 0 and sampling.dry_penalty_last_n != 0


def is_dry_made(vocabulary: Vocabulary, sampling: Sampling) -> bool:
    """Whether :func:`dry_sampler` needs only to copy."""
    return _settings(sampling) in _prototypes.setdefault(vocabulary, _Prototypes())


def dry_sampler(vocabulary: Vocabulary, sampling: Sampling) -> Any:
    """A DRY sampler that has seen no token; whoever asks for it frees it."""
    prototypes = _prototypes.setdefault(vocabulary, _Prototypes())
    return prototypes.copy(vocabulary, _settings(sampling))


def make_dry(vocabulary: Vocabulary, sampling: Sampling) -> None:
    """Make what :func:`dry_sampler` copies, which may take some hundred milliseconds."""
    llama.llama_sampler_free(dry_sampler(vocabulary, sampling))


def _settings(s: Sampling) -> _Settings:
    window = s.dry_penalty_last_n
    if not 0 < window <= s.max_tokens:
        # The whole completion; rounded up, so that few lengths need a sampler of their own.
        window = 1 << (s.max_tokens - 1).bit_length()
    numbers = (s.dry_multiplier, s.dry_base, s.dry_allowed_length, window)
    return _Settings(*numbers, s.dry_sequence_breakers)


def _make(vocabulary: Vocabulary, settings: _Settings) -> Any:
    texts = [_cut(text) for text in settings.breakers if text and "\0" not in text]
    array = (ctypes.c_char_p * len(texts))(*texts)
    with vocabulary.open() as pointer:
        return llama.llama_sampler_init_dry(pointer, *settings[:-1], array, len(texts))


def _cut(text: str) -> bytes:
    """A text's beginning of at most so many bytes, in whole characters."""
    return text.encode()[:_BREAKER].decode("utf-8", "ignore").encode()
