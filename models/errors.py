"""The errors a caller can act on: one clear sentence each, with the way out in it."""


class ThinkgraphError(Exception):
    """Base of every error that is the user's to mend; shown as one line, exit status 2."""


class ModelError(ThinkgraphError):
    """A model can't be found, opened, or asked this."""


class PromptTooLong(ModelError):
    """A prompt has more tokens than fit.

    Attributes:
        tokens: length of the prompt.
        limit: the longest prompt that fits.
    """

    def __init__(self, tokens: int, limit: int, context: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(
            f"the prompt has {tokens} tokens and the context holds {context}: "
            f"{tokens - limit} too many; shorten the question or use a model with a longer context"
        )
