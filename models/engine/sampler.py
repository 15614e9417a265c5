"""How one sequence draws its tokens: a chain of llama.cpp's samplers with its own random state."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Sampling
from .library import llama
from .vocabulary import Vocabulary

_RANDOM = llama.LLAMA_DEFAULT_SEED  # asks llama.cpp for a seed of its own
_IMPOSSIBLE = float("-inf")
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

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
        self._size = vocabulary.size
        for sampler in _chain(vocabulary, sampling, native_seed(seed)):
            llama.llama_sampler_chain_add(self._chain, sampler)
        if grammar is not None:
            self._grammar = _native_grammar(vocabulary, grammar)

    def draw(self, context: Any, index: int) -> int:
        """Draw from the logits that the last decode wrote for the batch's token ``index``.

        Raises:
            DeadEnd: the grammar allows no token.
        """
        if not self._grammar:
            return int(llama.llama_sampler_sample(self._chain, context, index))
        return self._draw_by_grammar(context, index)

    def close(self) -> None:
        """Free the native samplers; may be called again."""
        for sampler in (self._chain, self._grammar):
            if sampler:
                llama.llama_sampler_free(sampler)
        self._chain = self._grammar = None

    def _draw_by_grammar(self, context: Any, index: int) -> int:
        logits = np.ctypeslib.as_array(
            llama.llama_get_logits_ith(context, index), shape=(self._size,)
        )
        every = np.zeros(self._size, _CANDIDATE)
        every["id"], every["logit"] = np.arange(self._size), logits
        token = self._pick(every.copy())
        probe = every[token : token + 1].copy()
        self._apply(self._grammar, probe)
        if probe["logit"][0] == _IMPOSSIBLE:
            self._apply(self._grammar, every)
            allowed = every[every["logit"] != _IMPOSSIBLE]
            if not len(allowed):
                raise DeadEnd
            token = self._pick(allowed)
        llama.llama_sampler_accept(self._grammar, token)
        llama.llama_sampler_accept(self._chain, token)
        return token

    def _pick(self, candidates: Candidates) -> int:
        array = self._apply(self._chain, candidates)
        return int(array.data[array.selected].id)

    @staticmethod
    def _apply(sampler: Any, candidates: Candidates) -> Any:
        data = candidates.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
        array = llama.llama_token_data_array(data, len(candidates), -1, False)
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
        return array


def _chain(vocabulary: Vocabulary, sampling: Sampling, seed: int) -> list[Any]:
    s = sampling
    chain = []
    bias = dict(s.logit_bias)
    if s.ignore_eos:
        bias |= dict.fromkeys(vocabulary.ends, _IMPOSSIBLE)
    if bias:
        pairs = (llama.llama_logit_bias * len(bias))(
            *[llama.llama_logit_bias(*b) for b in bias.items()]
        )
        chain.append(llama.llama_sampler_init_logit_bias(vocabulary.size, len(bias), pairs))
    if (s.repeat_penalty, s.frequency_penalty, s.presence_penalty) != (1, 0, 0):
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
