"""The base class of extractors: named ways to find the answer in the text of a model."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from thinkgraph.models.cached_property import cached_property
from thinkgraph.nodes.answers.extract.thoughts import without_thinking

WINDOW = 32_000
"""Number of characters at the end of a text that the extractors look at."""


class Extractor(BaseModel, ABC):
    """A way to find the answer in a text; `parse_extractor` makes one from its short form."""

    # Two equal extractors stay equal when one of them has cached something.
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    name: ClassVar[str]
    """Name of the extractor in a spec."""
    about: ClassVar[str]
    """What it finds, in one line."""
    setting: ClassVar[str | None] = None
    """The field that the short form `{name: value}` sets; None if there are no settings."""

    def __call__(self, text: str) -> str | None:
        """Find the answer in a text, outside its think blocks; None if there is none."""
        found = self.find(without_thinking(text)[-WINDOW:])
        return (found.strip() or None) if found is not None else None

    @abstractmethod
    def find(self, text: str) -> str | None:
        """Find the answer in a text without think blocks."""

    def short(self) -> Any:
        """Return the short form that `parse_extractor` reads back."""
        if not self.setting:
            return self.name
        value = getattr(self, self.setting)
        return {self.name: list(value) if isinstance(value, tuple) else value}
