"""The JSON Schema of the language, generated from its models and the node kinds.

Editors use it for completion and validation. It describes the form of a spec; the checker checks
its names, conditions and paths.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from thinkgraph.graphs.catalogue import names
from thinkgraph.graphs.language.spec import NAME, Spec
from thinkgraph.nodes.registry import node_kinds

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = NAME.removeprefix("^").removesuffix("$")
_STAGE = rf"\s*(?:{_NAME}|\[\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\])\s*"
CHAIN = rf"^{_STAGE}(?:->{_STAGE})+$"
"""A chain such as ``START -> draft -> [a, b] -> END``."""

ARROW = rf"^\s*{_NAME}\s*->\s*{_NAME}\s*$"
"""One arrow from one node to one node, which may have a condition."""

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema, in draft 2020-12, which accepts every well-formed spec."""
    kinds = node_kinds()
    models = [(model, "validation") for model in (Spec, *kinds.values())]
    refs, definitions = models_json_schema(models)  # type: ignore[arg-type]
    parts: dict[str, Schema] = definitions["$defs"]
    spec = parts.pop(_name(refs[Spec, "validation"]))
    nodes = [
        _node(parts, _name(refs[kind, "validation"]), name, kind.about)
        for name, kind in kinds.items()
    ]
    attempts = parts["Retry"]["properties"]["max_attempts"]
    parts["Retry"] = {"anyOf": [parts["Retry"], {**attempts, "title": "attempts"}]}
    parts["NodeSpec"] = {"anyOf": [*nodes, _use(parts["NodeSpec"], parts["Use"])]}
    parts["Edge"] = _edge(parts["Edge"])
    parts["Param"] = {"anyOf": [parts["Param"], {"type": ["boolean", "number", "string"]}]}
    field = parts["Output"]["properties"]["field"]
    parts["Output"] = {"anyOf": [parts["Output"], {**field, "title": "name"}]}
    for section in ("inputs", "params", "state", "nodes"):
        spec["properties"][section]["additionalProperties"] = False  # refuse invalid names
    edges = spec["properties"]["edges"]
    spec["properties"]["edges"] = {"anyOf": [edges, {"type": "string", "pattern": CHAIN}]}
    return {"$schema": DIALECT, **spec, "title": "thinkgraph", "$defs": parts}


BESIDE = ("budget", "retry", "fallback")
"""Fields that a node of any kind may have."""


def _name(ref: Schema) -> str:
    return str(ref["$ref"]).rpartition("/")[2]


def _node(parts: dict[str, Schema], definition: str, name: str, about: str) -> Schema:
    """A node of one kind: the kind's settings, its name, and the fields of any node."""
    settings = parts[definition]
    kind = {"const": name, "description": about}
    settings["properties"] = {
        "kind": kind,
        **settings.get("properties", {}),
        **{name: parts["NodeSpec"]["properties"][name] for name in BESIDE},
    }
    settings["required"] = ["kind", *settings.get("required", [])]
    settings["title"] = name
    return {"$ref": f"#/$defs/{definition}"}


def _use(node: Schema, uses: Schema) -> Schema:
    """A node that uses another graph."""
    properties = node["properties"]
    files = {"type": "string", "pattern": r"[/.]"}
    graph = {"anyOf": [{"enum": list(names())}, files]}
    short = {**graph, "description": properties["use"]["description"]}
    uses["properties"]["graph"] |= graph
    uses["properties"]["graph"].pop("type", None)
    return {
        "title": "use",
        "type": "object",
        "properties": {
            "use": {"anyOf": [short, {"$ref": "#/$defs/Use"}]},
            "params": {**properties["params"], "anyOf": [{"type": "object"}]},
            **{name: properties[name] for name in BESIDE},
        },
        "required": ["use"],
        "additionalProperties": False,
    }


def _edge(edge: Schema) -> Schema:
    """An edge as a chain, as ``chain: {when: …}``, or with its chain as ``path``."""
    rest = {name: each for name, each in edge["properties"].items() if name != "path"}
    behind = {"type": "object", "properties": rest, "additionalProperties": False}
    bare = {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]}
    short = [_one(ARROW, behind), _one(CHAIN, bare)]
    chain = {"type": "string", "pattern": CHAIN, "maxLength": 2000}
    edge["properties"]["path"] = chain
    return {"description": edge.pop("description", ""), "anyOf": [chain, *short, edge]}


def _one(key: str, value: Schema) -> Schema:
    """A mapping with one key, which matches the pattern ``key``, to a value."""
    return {
        "type": "object",
        "patternProperties": {key: value},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
