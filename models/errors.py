"""Errors that a caller can act on; each message is one sentence that also says how to fix it."""

import difflib
from collections.abc import Iterable
from typing import Self


class ThinkgraphError(Exception):
    """Base of all errors that a user can fix; the CLI shows them without a traceback.

    Attributes:
        place: where it occurred, shown before the message; empty if unknown.
    """

    place: str = ""

    def __str__(self) -> str:
        said = super().__str__()
        return f"{self.place}: {said}" if self.place else said

    def at(self, place: str) -> Self:
        """A copy with its place, unless it has one; a copy because requests may share an error."""
        told = type(self).__new__(type(self), *self.args)
        told.__dict__.update(self.__dict__)
        told.place = self.place or place
        return told


class ModelError(ThinkgraphError):
    """A model can't be found or opened, or doesn't support a request."""


class NoProbabilities(ModelError):
    """A model was asked for probabilities of given texts, which it doesn't provide."""


class ModelBusy(ModelError):
    """A server refuses a request for now, because it has too many.

    Attributes:
        retry_s: seconds after which to retry, if the server says so.
    """

    retry_s: float | None = None


class PromptTooLong(ModelError):
    """A prompt has more tokens than fit in the context.

    Attributes:
        tokens: length of the prompt; None if unknown.
        limit: length of the longest prompt that fits; None if unknown.
    """

    tokens: int | None
    limit: int | None

    def __init__(self, tokens: int, limit: int, context: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(
            f"the prompt has {tokens} tokens and the context holds {context}: "
            f"{tokens - limit} too many; shorten the question or use a model with a longer context"
        )


class PromptRefused(PromptTooLong):
    """A server finds a prompt too long, and doesn't say by how much."""

    def __init__(self, message: str) -> None:
        self.tokens = self.limit = None
        ModelError.__init__(self, message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for a misspelt name, such as "did you mean 'samples'?"; empty if none is close."""
    spelt = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"did you mean {spelt[near[0]]!r}?" if near else ""
