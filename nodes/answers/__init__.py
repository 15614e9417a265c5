"""Answers: extraction from completions, equality by value, and votes."""

from thinkgraph.nodes.answers.equal import Tolerance, equal
from thinkgraph.nodes.answers.extract import (
    EXTRACTORS,
    Extract,
    Extractor,
    expected_extractor,
    extract,
    parse_extractor,
)
from thinkgraph.nodes.answers.value import Value, canonical
from thinkgraph.nodes.answers.vote import (
    AnswerClass,
    Median,
    Tally,
    confidence,
    decided,
    median,
    tally,
)

__all__ = [
    "EXTRACTORS",
    "AnswerClass",
    "Extract",
    "Extractor",
    "Median",
    "Tally",
    "Tolerance",
    "Value",
    "canonical",
    "confidence",
    "decided",
    "equal",
    "expected_extractor",
    "extract",
    "median",
    "parse_extractor",
    "tally",
]
