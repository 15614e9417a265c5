"""Edits of a spec's text that leave the rest of it as it was: comments, order, quotes."""

from __future__ import annotations

import io
import json
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.util import load_yaml_guess_indent

from thinkgraph.graphs.document import Document, Path_
from thinkgraph.graphs.problem import SpecError
from thinkgraph.models.errors import ThinkgraphError


def put(document: Document, path: Path_, value: Any) -> Document:
    """The document with another value at a path, such as ``("params", "rounds", "default")``.

    What the path leads through must be there; its last step may be a new field, or the length
    of a list to append to it.

    Raises:
        SpecError: the document can't be read.
        ThinkgraphError: there is nothing at the path that could hold the value.
    """

    def assign(holder: Any, step: str | int) -> None:
        if isinstance(holder, list) and step == len(holder):
            holder.append(value)
        else:
            holder[step] = value

    return _edited(document, path, assign)


def drop(document: Document, path: Path_) -> Document:
    """The document without what stands at a path.

    Raises:
        SpecError: the document can't be read.
        ThinkgraphError: there is nothing at the path.
    """

    def delete(holder: Any, step: str | int) -> None:
        del holder[step]

    return _edited(document, path, delete)


def _edited(document: Document, path: Path_, change: Any) -> Document:
    if document.problems:
        raise SpecError(document.problems)
    is_json = _is_json(document.text)
    _, indent, offset = (None, 4, 2) if is_json else load_yaml_guess_indent(document.text)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken that wasn't
    yaml.indent(mapping=2, sequence=indent or 4, offset=2 if offset is None else offset)
    data = json.loads(document.text) if is_json else yaml.load(document.text)
    holder = data
    try:
        for step in path[:-1]:
            holder = holder[step]
        change(holder, path[-1])
    except (LookupError, TypeError, ValueError):
        where = ".".join(map(str, path))
        raise ThinkgraphError(f"{document.file}: there is no place for {where}") from None
    text = io.StringIO()
    if is_json:
        json.dump(data, text, ensure_ascii=False, indent=2)
    else:
        yaml.dump(data, text)
    return Document.parse(text.getvalue(), document.file, document.folder)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
