"""Truncation: several texts in one prompt, each cut from its beginning until they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thinkgraph.models.model import Message, Model

LEAST = 40


def truncate_texts(
    render: Callable[[list[str]], list[Message]],
    texts: Sequence[str],
    model: Model,
    room: int = 16,
) -> list[Message]:
    """The messages with as much of each text as fits; of one that doesn't, its end.

    A text's end is kept since that is where its answer stands.

    Args:
        render: makes the messages of the texts.
        texts: what is shown.
        model: whose context they must fit in.
        room: tokens to leave for the completion.
    """
    length = max(map(len, texts), default=0)
    messages = render(list(texts))
    while length > LEAST and model.count_tokens(messages) > model.context_length - room:
        length = max(length * 3 // 4, LEAST)
        messages = render([_end(text, length) for text in texts])
    return messages


def _end(text: str, length: int) -> str:
    return text if len(text) <= length else f"… {text[-length:].lstrip()}"
