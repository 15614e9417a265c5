"""Capabilities of models beyond plain text, under the names that nodes and models share."""

from __future__ import annotations

from typing import Literal

Capability = Literal[
    "probabilities",
    "beginnings",
    "confidence",
    "grammars",
    "adapters",
    "tools",
    "rewards",
    "templates",
]

ABOUT: dict[Capability, str] = {
    "probabilities": "the probabilities of given words",
    "beginnings": "answers that go on from a given beginning",
    "confidence": "the entropies of its tokens (certainty, tail, lowest_group)",
    "grammars": "texts constrained to a grammar",
    "adapters": "LoRA adapters",
    "rewards": "scores of a classification head",
    "templates": "variables of a chat template (`template`)",
    "tools": "tool calls",
}
"""What a model with each capability provides."""
HOSTED: frozenset[Capability] = frozenset(ABOUT) - {"tools"}
"""Capabilities that no model behind a chat API has."""
