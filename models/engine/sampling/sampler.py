"""How one sequence draws its tokens: a chain of llama.cpp's samplers with its own random state."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sampling.distribution import Distribution, Logits, Tokens
from thinkgraph.models.model import Sampling

_RANDOM = llama.LLAMA_DEFAULT_SEED  # asks llama.cpp for a seed of its own
_IMPOSSIBLE = float("-inf")
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


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


class Candidates:
    """The tokens that a draw is made from, with their logits: room made once, filled for each.

    Used by one thread, for one draw at a time.

    Args:
        size: most tokens it can hold, those of the vocabulary.
    """

    def __init__(self, size: int) -> None:
        self._room = np.empty(size, _CANDIDATE)
        self._ids, self._logits = self._room["id"], self._room["logit"]
        self._every = np.arange(size, dtype=np.int32)
        data = self._room.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
        self._array = llama.llama_token_data_array(data, 0, -1, False)
        self._reference = ctypes.byref(self._array)

    def __len__(self) -> int:
        return int(self._array.size)

    def fill(self, logits: Logits, tokens: Tokens | None = None) -> None:
        """Hold ``tokens``, or all, with their logits out of a whole row."""
        chosen = slice(None) if tokens is None else tokens
        held = logits[chosen]
        self._ids[: len(held)] = self._every[chosen]
        self._logits[: len(held)] = held
        self._resize(len(held))

    def allow(self, grammar: Any) -> None:
        """Keep those that a grammar's sampler takes next."""
        llama.llama_sampler_apply(grammar, self._reference)
        allowed = self._room[: len(self)][self._logits[: len(self)] != _IMPOSSIBLE]
        self._room[: len(allowed)] = allowed
        self._resize(len(allowed))

    def pick(self, chain: Any) -> int:
        """The token that a chain of samplers draws."""
        llama.llama_sampler_apply(chain, self._reference)
        return int(self._ids[self._array.selected])

    def _resize(self, size: int) -> None:
        self._array.size, self._array.selected, self._array.sorted = size, -1, False


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
        candidates: room for the vocabulary, which samplers of one thread may share.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        sampling: Sampling,
        seed: int,
        grammar: str | None,
        candidates: Candidates,
    ) -> None:
        self._candidates = candidates
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        self._grammar: Any = None
        self._enough = _enough(vocabulary, sampling)
        for sampler in _chain(vocabulary, sampling, native_seed(seed)):
            llama.llama_sampler_chain_add(self._chain, sampler)
        if grammar is not None:
            self._grammar = _native_grammar(vocabulary, grammar)

    def draw(self, distribution: Distribution) -> int:
        """Draw one token.

        Raises:
            DeadEnd: the grammar allows none.
        """
        # What the chain draws from a few candidates, it would draw from all.
        self._candidates.fill(distribution.logits, distribution.top_candidates(self._enough))
        token = self._candidates.pick(self._chain)
        if self._grammar:
            token = self._follow(token, distribution.logits)
        llama.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Free the native samplers; may be called again."""
        for sampler in (self._chain, self._grammar):
            if sampler:
                llama.llama_sampler_free(sampler)
        self._chain = self._grammar = None

    def _follow(self, token: int, logits: Logits) -> int:
        """The token, or another one if the grammar objects."""
        candidates = self._candidates
        candidates.fill(logits, np.array([token]))
        candidates.allow(self._grammar)
        if not len(candidates):
            candidates.fill(logits)
            candidates.allow(self._grammar)
            if not len(candidates):
                raise DeadEnd
            token = candidates.pick(self._chain)
        llama.llama_sampler_accept(self._grammar, token)
        return token


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
