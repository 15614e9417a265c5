"""The grammar of values: parses the spelling of an answer as a value."""

from thinkgraph.nodes.answers.value.read import asks_percent, canonical
from thinkgraph.nodes.answers.value.relation import is_relation
from thinkgraph.nodes.answers.value.value import (
    Collection,
    Either,
    Expression,
    Named,
    Number,
    Quantity,
    Value,
    Words,
    as_number,
)

__all__ = [
    "Collection",
    "Either",
    "Expression",
    "Named",
    "Number",
    "Quantity",
    "Value",
    "Words",
    "as_number",
    "asks_percent",
    "canonical",
    "is_relation",
]
