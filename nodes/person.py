"""A person in a run: what a node asks of somebody, and how the answer comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def ask_person(request: Mapping[str, Any]) -> Any:
    """Wait for somebody, by LangGraph's ``interrupt()``.

    The run stops here, and its node begins again when it is resumed; so a node asks before it does
    anything that can't be done twice. A kind that calls this sets ``waits``.

    Args:
        request: what is asked, as JSON: what a user interface shows.

    Returns:
        What the run is resumed with, as by ``Command(resume=...)``.
    """
    from langgraph.types import interrupt  # noqa: PLC0415 (slow to import)

    return interrupt(dict(request))
