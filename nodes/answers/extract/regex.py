"""The last match of a pattern."""

from typing import Any

import re2  # type: ignore[import-untyped]
from pydantic import Field, field_validator

from thinkgraph.nodes.answers.extract.extractor import Extractor


class Regex(Extractor):
    """The last match of a pattern."""

    name = "regex"
    about = "the last match of a pattern: its group `answer`, or the first group, or all of it"
    setting = "pattern"

    pattern: str = Field(min_length=1, max_length=1000)
    """A regular expression in RE2's syntax: no look-around and no back-references, and therefore
    time linear in the text, whereas Python's own matcher can take exponential time."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        _compiled(pattern)
        return pattern

    def find(self, text: str) -> str | None:
        """Find the last match."""
        pattern, found = _compiled(self.pattern), None
        # A surrogate can't be matched: RE2 works on UTF-8.
        for match in pattern.finditer(text.encode("utf-8", "replace").decode()):
            found = match
        if found is None:
            return None
        named = "answer" if "answer" in pattern.groupindex else min(pattern.groups, 1)
        answer: str | None = found[named]
        return answer


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        hint = "; look-around and back-references are not supported" if "(?" in reason else ""
        raise ValueError(f"regex {pattern!r}: {reason}{hint}") from None
