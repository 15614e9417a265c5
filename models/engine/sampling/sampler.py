"""How one sequence draws its tokens: a chain of llama.cpp's samplers with its own random state."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sampling.constraint import Constraint, DeadEnd
from thinkgraph.models.engine.sampling.distribution import (
    Distribution,
    Logits,
    Tokens,
    peaks,
    top_candidates,
)
from thinkgraph.models.model import Sampling

_RANDOM = llama.LLAMA_DEFAULT_SEED  # asks llama.cpp for a seed of its own
_IMPOSSIBLE = np.float32(-np.inf)
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def native_seed(seed: int) -> int:
    """``seed`` as llama.cpp takes it: 32 bits, and never the one that means random."""
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF if seed >> 32 else seed
    return folded & 0xFFFFFFFF if folded & 0xFFFFFFFF != _RANDOM else _RANDOM - 1


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

    def pick(self, chain: Any) -> int:
        """The token that a chain of samplers draws."""
        llama.llama_sampler_apply(chain, self._reference)
        return int(self._ids[self._array.selected])

    def _resize(self, size: int) -> None:
        self._array.size, self._array.selected, self._array.sorted = size, -1, False


class Sampler:
    """Draws one sequence's tokens. Made and used on the worker's thread only.

    The chain has llama.cpp's usual order: bias, penalties (over the completion), top-k,
    typical, top-p, min-p, temperature, then the draw. Tokens that a constraint doesn't allow
    are no candidates: what is drawn is drawn from the masked logits.

    Args:
        vocabulary: of the model.
        sampling: what to do.
        seed: any integer; 0 is a seed like others.
        constraint: what the text is held to, or None.
        candidates: room for the vocabulary, which samplers of one thread may share.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        sampling: Sampling,
        seed: int,
        constraint: Constraint | None,
        candidates: Candidates,
    ) -> None:
        self._candidates, self._constraint = candidates, constraint
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        self._enough = _enough(vocabulary, sampling)
        for sampler in _chain(vocabulary, sampling, native_seed(seed)):
            llama.llama_sampler_chain_add(self._chain, sampler)

    @property
    def finished(self) -> bool:
        """Whether the constraint lets nothing follow."""
        return self._constraint is not None and self._constraint.finished

    def draw(self, distribution: Distribution) -> int:
        """Draw one token.

        Raises:
            DeadEnd: the constraint allows none.
        """
        # What the chain draws from a few candidates, it would draw from all.
        if self._constraint is None:
            self._candidates.fill(distribution.logits, distribution.top_candidates(self._enough))
            token = self._candidates.pick(self._chain)
        else:
            token = self._draw_allowed(distribution.logits, self._constraint)
        llama.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Free the native samplers; may be called again."""
        if self._chain:
            llama.llama_sampler_free(self._chain)
        self._chain = self._constraint = None

    def _draw_allowed(self, logits: Logits, constraint: Constraint) -> int:
        allowed = constraint.allowed()
        while True:
            if allowed is not None:
                logits = np.where(allowed, logits, _IMPOSSIBLE)
            few = top_candidates(logits, self._enough, peaks(logits))
            if few is None and allowed is not None:
                few = np.flatnonzero(allowed)
                if not len(few):
                    raise DeadEnd("no token is left")
            self._candidates.fill(logits, few)
            token = self._candidates.pick(self._chain)
            if constraint.accept(token):
                return token
            # It would end free text, and go on with what the constraint doesn't allow.
            allowed = np.ones(len(logits), np.bool_) if allowed is None else allowed.copy()
            allowed[token] = False


def _bias(vocabulary: Vocabulary, sampling: Sampling) -> dict[int, float]:
    ends = dict.fromkeys(vocabulary.ends, float(_IMPOSSIBLE)) if sampling.ignore_eos else {}
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
