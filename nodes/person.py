"""Human in the loop: how a node asks a person, and how the reply comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def ask_person(request: Mapping[str, Any]) -> Any:
    """Interrupt the run with LangGraph's ``interrupt()`` and wait for a person's reply.

    When the run is resumed, the node starts again from its beginning; so a node asks before any
    work that must not be repeated. A kind that calls this sets ``waits``.

    Args:
        request: the question as JSON data, for a user interface to show.

    Returns:
        The value that the run is resumed with, as by ``Command(resume=...)``.
    """
    from langgraph.types import interrupt  # noqa: PLC0415 (slow to import)

    return interrupt(dict(request))
