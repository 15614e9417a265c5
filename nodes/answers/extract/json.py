"""A part of a JSON value."""

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from thinkgraph.nodes.answers.extract.extractor import Extractor


class Json(Extractor):
    """A part of the last JSON value."""

    name = "json"
    about = "a path into the last JSON object or array, fenced or not: {json: result.value}"
    setting = "path"

    path: str = Field(max_length=200)
    """Keys and list indices: `result.items[0].value` or `items.-1`; empty for the whole value."""

    def find(self, text: str) -> str | None:
        """Find the last valid JSON value, and return the part at ``path``; None if it has none."""
        value = next(iter(deque(_json_values(text), maxlen=1)), None)
        for key in re.findall(r"[^.\[\]]+", self.path):
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and re.fullmatch(r"-?\d{1,6}", key):
                value = value[int(key)] if -len(value) <= int(key) < len(value) else None
            else:
                return None
        return _json_text(value)


_JSON = json.JSONDecoder(parse_int=str, parse_float=str)
_JSON_TRIES = 500


def _json_values(text: str) -> Iterator[Any]:
    """Yield the outermost JSON objects and arrays in a text; skip what doesn't parse."""
    place, tries = 0, 0
    while tries < _JSON_TRIES and (start := _JSON_START.search(text, place)):
        try:
            value, place = _JSON.raw_decode(text, start.start())
            yield value
        except (ValueError, RecursionError):
            place, tries = start.end(), tries + 1


_JSON_START = re.compile(r"[{\[]")


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
