"""Truncation of several texts in one prompt: each is cut at its beginning until they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thinkgraph.models.model import Message, Model

LEAST = 40
OPTION_TOKENS = 16
"""Room in the context for a lead and an option."""


def truncate_texts(
    render: Callable[[list[str]], list[Message]],
    texts: Sequence[str],
    model: Model,
    room: int = OPTION_TOKENS,
) -> list[Message]:
    """Render the messages with the texts, truncated until they fit in the model's context.

    The end of a text is kept, since it contains the answer. At most half of the context is left
    for the completion, whatever ``room`` is.

    Args:
        render: renders the messages with the texts.
        texts: the texts to show.
        model: the model; its context length is the limit.
        room: tokens to leave for the completion.
    """
    length = max(map(len, texts), default=0)
    limit = prompt_limit(model, room)
    messages = render(list(texts))
    while length > LEAST and model.count_tokens(messages) > limit:
        length = max(length * 3 // 4, LEAST)
        messages = render([_end(text, length) for text in texts])
    return messages


def prompt_limit(model: Model, room: int) -> int:
    """Maximum number of tokens of a prompt that leaves room, of at most half of the context."""
    return model.context_length - min(room, model.context_length // 2)


def _end(text: str, length: int) -> str:
    return text if len(text) <= length else f"… {text[-length:].lstrip()}"
