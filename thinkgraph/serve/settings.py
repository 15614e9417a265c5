"""Settings of a server: address, limits, and the rule that recognises chores of chat programs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen

CHORES = (
    r"^\s*(?:### Task:\s"  # Open WebUI: titles, tags, follow-up questions, search queries
    r"|Given the following\.\.\. please reply with a title for the chat"  # Continue
    r"|Generate a concise [^\n]{0,40}title for this conversation)"  # Zed and others
)
"""Pattern of chores: how chat programs begin requests for titles, tags or follow-up questions."""


class ServeSettings(Frozen):
    """Address and limits of a server."""

    host: str = Field("127.0.0.1", description="the address it listens at")
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free one")
    running: int = Field(32, ge=1, description="requests that run at once")
    waiting: int = Field(128, ge=0, description="requests that may wait for one of them to end")
    seconds: float = Field(
        600.0, gt=0, description="time limit of a request; it then gives its best answer so far"
    )
    max_tokens: int = Field(
        4096, ge=1, description="tokens of a bare model's completion, where a request says nothing"
    )
    body: int = Field(4 * 2**20, ge=1, description="bytes of a request's body")
    choices: int = Field(16, ge=1, description="the largest `n` of a request")
    ping_s: float = Field(10.0, gt=0, description="seconds between comments in a silent stream")
    grace_s: float = Field(
        10.0, ge=0, description="seconds that requests have to answer when the server stops"
    )
    origins: tuple[str, ...] = Field((), description="origins that CORS allows; none by default")
    chores: str = Field(
        CHORES,
        description="regular expression (RE2): a request whose last user message matches it is "
        "answered by `chores_by`; empty is none",
    )
    chores_by: str = Field("direct", description="the strategy that answers them")
    specs: bool = Field(False, description="whether a request may bring its own spec")
    page: bool = Field(True, description="whether there is a page at /")
    token: str = Field(
        default_factory=lambda: secrets.token_urlsafe(24),
        repr=False,
        description="of who may open the page; empty lets everybody in; drawn, unless given",
    )
    history: Path | None = Field(None, description="file of the page's runs; null: in memory")

    @field_validator("chores")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        import re2  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            re2.compile(pattern)
        except re2.error as error:
            raise ValueError(f"not a regular expression of RE2: {error}") from None
        return pattern

    @property
    def is_local(self) -> bool:
        """Whether the server is reachable from this machine only."""
        return self.host in ("127.0.0.1", "::1", "localhost")


def settings_of(given: Mapping[str, Any]) -> ServeSettings:
    """Validate settings from the command line.

    Raises:
        ThinkgraphError: a setting is invalid.
    """
    try:
        return ServeSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        said = first["msg"].removeprefix("Value error, ")
        raise ThinkgraphError(f"--{option} {first['input']!r}: {said}") from None
