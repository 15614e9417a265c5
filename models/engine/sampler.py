"""How one sequence draws its tokens: a chain of llama.cpp's samplers with its own random state."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Sampling
from .confidence import Logits
from .library import llama
from .vocabulary import Vocabulary

_RANDOM = llama.LLAMA_DEFAULT_SEED  # asks llama.cpp for a seed of its own
_IMPOSSIBLE = float("-inf")
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_GROUP = 64  # tokens of which at first only the likeliest is looked at

Candidates = npt.NDArray[np.void]


class DeadEnd(Exception):
    """The grammar allows no token here."""


def native_seed(seed: int) -> int:
    """``seed`` as llama.cpp takes it: 32 bits, and never the one that means random."""
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF if seed >> 32 else seed
    return folded & 0xFFFFFFFF if folded & 0xFFFFFFFF != _RANDOM else _RANDOM - 1


def can_follow(vocabulary: Vocabulary, grammar: str) -> bool:
    """Whether llama.cpp takes a grammar that has been checked: it has limits of its own."""
    sampler = _native_grammar(vocabulary, grammar)
    if sampler:
        llama.llama_sampler_free(sampler)
    return bool(sampler)


def _native_grammar(vocabulary: Vocabulary, grammar: str) -> Any:
    with vocabulary.open() as pointer:
        return llama.llama_sampler_init_grammar(pointer, grammar.encode(), b"root")


class Sampler:
    """Draws one sequence's tokens. Made and used on the worker's thread only.

    The chain has llama.cpp's usual order: bias, penalties (over the completion), top-k,
    typical, top-p, min-p, temperature, then the draw. A grammar is asked about the drawn
    token first, and where it objects the draw is made again among what it allows, as
    llama.cpp's own tools do.

    Args:
        vocabulary: of the model.
        sampling: what to do.
        seed: any integer; 0 is a seed like others.
        grammar: GBNF that has been checked, or None.
    """

    def __init__(
        self, vocabulary: Vocabulary, sampling: Sampling, seed: int, grammar: str | None
    ) -> None:
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        self._grammar: Any = None
        self._enough = _enough(vocabulary, sampling)
        for sampler in _chain(vocabulary, sampling, native_seed(seed)):
            llama.llama_sampler_chain_add(self._chain, sampler)
        if grammar is not None:
            self._grammar = _native_grammar(vocabulary, grammar)

    def draw(self, logits: Logits) -> int:
        """Draw from one row of logits.

        Raises:
            DeadEnd: the grammar allows no token.
        """
        token = self._pick(self._likeliest(logits))
        if self._grammar:
            if not len(self._allowed(_candidates(np.array([token]), logits))):
                allowed = self._allowed(_candidates(np.arange(len(logits)), logits))
                if not len(allowed):
                    raise DeadEnd
                token = self._pick(allowed)
            llama.llama_sampler_accept(self._grammar, token)
        llama.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Free the native samplers; may be called again."""
        for sampler in (self._chain, self._grammar):
            if sampler:
                llama.llama_sampler_free(sampler)
        self._chain = self._grammar = None

    def _likeliest(self, logits: Logits) -> Candidates:
        """As many candidates as the chain can tell from all: few, where it begins with top-k."""
        if 0 < self._enough <= len(logits) // _GROUP:
            # Of the largest of each group, the k-th is at most the k-th of all.
            groups = logits[: len(logits) // _GROUP * _GROUP].reshape(_GROUP, -1).max(axis=0)
            least = np.partition(groups, -self._enough)[-self._enough]
            if len(near := np.flatnonzero(logits >= least)) >= self._enough:
                return _candidates(near, logits)
        return _candidates(np.arange(len(logits)), logits)

    def _allowed(self, candidates: Candidates) -> Candidates:
        self._apply(self._grammar, candidates)
        allowed: Candidates = candidates[candidates["logit"] != _IMPOSSIBLE]
        return allowed

    def _pick(self, candidates: Candidates) -> int:
        array = self._apply(self._chain, candidates)
        return int(array.data[array.selected].id)

    @staticmethod
    def _apply(sampler: Any, candidates: Candidates) -> Any:
        data = candidates.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
        array = llama.llama_token_data_array(data, len(candidates), -1, False)
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
        return array


def _candidates(tokens: npt.NDArray[np.integer[Any]], logits: Logits) -> Candidates:
    found = np.empty(len(tokens), _CANDIDATE)
    found["id"], found["logit"] = tokens, logits[tokens]
    return found


def _bias(vocabulary: Vocabulary, sampling: Sampling) -> dict[int, float]:
    ends = dict.fromkeys(vocabulary.ends, _IMPOSSIBLE) if sampling.ignore_eos else {}
    return sampling.logit_bias | ends


def _penalizes(s: Sampling) -> bool:
    return (s.repeat_penalty, s.frequency_penalty, s.presence_penalty) != (1, 0, 0)


def _enough(vocabulary: Vocabulary, sampling: Sampling) -> int:
    """Of the likeliest tokens, how many surely hold those that the chain draws from; 0: all.

    Each that a bias pushes down may make room for one more.
    """
    bias, drawn_from = _bias(vocabulary, sampling), sampling.top_k if sampling.temperature else 1
    lifts = _penalizes(sampling) or any(value > 0 for value in bias.values())
    return 0 if lifts or not drawn_from else drawn_from + len(bias)


def _chain(vocabulary: Vocabulary, sampling: Sampling, seed: int) -> list[Any]:
    s = sampling
    chain = []
    if bias := _bias(vocabulary, sampling):
        pairs = (llama.llama_logit_bias * len(bias))(
            *[llama.llama_logit_bias(*b) for b in bias.items()]
        )
        chain.append(llama.llama_sampler_init_logit_bias(vocabulary.size, len(bias), pairs))
    if _penalizes(s):
        window = s.penalty_last_n if s.penalty_last_n >= 0 else s.max_tokens
        chain.append(
            llama.llama_sampler_init_penalties(
                vocabulary.size, window, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
            )
        )
    if s.temperature == 0:
        return [*chain, llama.llama_sampler_init_greedy()]
    if s.top_k:
        chain.append(llama.llama_sampler_init_top_k(s.top_k))
    if s.typical_p < 1:
        chain.append(llama.llama_sampler_init_typical(s.typical_p, 1))
    if s.top_p < 1:
        chain.append(llama.llama_sampler_init_top_p(s.top_p, 1))
    if s.min_p > 0:
        chain.append(llama.llama_sampler_init_min_p(s.min_p, 1))
    if s.temperature != 1:
        chain.append(llama.llama_sampler_init_temp(s.temperature))
    return [*chain, llama.llama_sampler_init_dist(seed)]
