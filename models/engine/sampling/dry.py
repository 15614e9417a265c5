"""llama.cpp's DRY sampler, which lowers the logits of tokens that would prolong a repetition.

llama.cpp scans the whole vocabulary for each breaker when it creates a DRY sampler. Therefore one
prototype is created for each vocabulary and setting, and each sample gets a copy.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.model import Sampling

_BREAKER = 40  # maximum bytes of a breaker in llama.cpp
_KEPT = 16  # maximum prototypes of one vocabulary


class _Settings(NamedTuple):
    """The settings that a DRY sampler is created with."""

    multiplier: float
    base: float
    allowed_length: int
    window: int
    breakers: tuple[str, ...]


class _Prototypes:
    """The samplers of one vocabulary from which others are copied."""

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
    """Whether a sampling uses DRY."""
    return sampling.dry_multiplier > 0 and sampling.dry_penalty_last_n != 0


def is_dry_made(vocabulary: Vocabulary, sampling: Sampling) -> bool:
    """Whether :func:`dry_sampler` only has to copy a prototype."""
    return _settings(sampling) in _prototypes.setdefault(vocabulary, _Prototypes())


def dry_sampler(vocabulary: Vocabulary, sampling: Sampling) -> Any:
    """A DRY sampler that has seen no token; the caller must free it."""
    prototypes = _prototypes.setdefault(vocabulary, _Prototypes())
    return prototypes.copy(vocabulary, _settings(sampling))


def make_dry(vocabulary: Vocabulary, sampling: Sampling) -> None:
    """Create the prototype for :func:`dry_sampler`, which may take some hundred milliseconds."""
    llama.llama_sampler_free(dry_sampler(vocabulary, sampling))


def _settings(s: Sampling) -> _Settings:
    window = s.dry_penalty_last_n
    if not 0 < window <= s.max_tokens:
        # The whole completion, rounded up so that many lengths share a prototype.
        window = 1 << (s.max_tokens - 1).bit_length()
    numbers = (s.dry_multiplier, s.dry_base, s.dry_allowed_length, window)
    return _Settings(*numbers, s.dry_sequence_breakers)


def _make(vocabulary: Vocabulary, settings: _Settings) -> Any:
    texts = [_cut(text) for text in settings.breakers if text and "\0" not in text]
    array = (ctypes.c_char_p * len(texts))(*texts)
    with vocabulary.open() as pointer:
        return llama.llama_sampler_init_dry(pointer, *settings[:-1], array, len(texts))


def _cut(text: str) -> bytes:
    """The beginning of a text, of at most ``_BREAKER`` bytes, in whole characters."""
    return text.encode()[:_BREAKER].decode("utf-8", "ignore").encode()
