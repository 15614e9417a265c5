"""Extractors: named ways to find the answer in the text of a model."""

from thinkgraph.nodes.answers.extract.auto import Auto
from thinkgraph.nodes.answers.extract.boxed import Boxed
from thinkgraph.nodes.answers.extract.choice import Choice
from thinkgraph.nodes.answers.extract.expected import expected_extractor
from thinkgraph.nodes.answers.extract.extractor import WINDOW, Extractor
from thinkgraph.nodes.answers.extract.final import Final
from thinkgraph.nodes.answers.extract.json import Json
from thinkgraph.nodes.answers.extract.label import OneOf, YesNo
from thinkgraph.nodes.answers.extract.number import LastNumber
from thinkgraph.nodes.answers.extract.regex import Regex
from thinkgraph.nodes.answers.extract.registry import (
    EXTRACTORS,
    Chain,
    Extract,
    Text,
    extract,
    parse_extractor,
)
from thinkgraph.nodes.answers.extract.thoughts import without_thinking

__all__ = [
    "EXTRACTORS",
    "WINDOW",
    "Auto",
    "Boxed",
    "Chain",
    "Choice",
    "Extract",
    "Extractor",
    "Final",
    "Json",
    "LastNumber",
    "OneOf",
    "Regex",
    "Text",
    "YesNo",
    "expected_extractor",
    "extract",
    "parse_extractor",
    "without_thinking",
]
