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

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: a free one")
    running: int = Field(32, ge=1, description="maximum number of requests that run at once")
    waiting: int = Field(
        128, ge=0, description="maximum number of requests that wait for a running one to end"
    )
    seconds: float = Field(
        600.0,
        gt=0,
        description="time limit of a request in seconds; it then returns its best answer so far",
    )
    max_tokens: int = Field(
        4096,
        ge=1,
        description="maximum number of tokens of a bare model's completion if the request sets "
        "none",
    )
    body: int = Field(4 * 2**20, ge=1, description="maximum size of a request's body, in bytes")
    choices: int = Field(16, ge=1, description="maximum `n` of a request")
    ping_s: float = Field(
        10.0, gt=0, description="seconds between keep-alive comments in a silent stream"
    )
    grace_s: float = Field(
        10.0, ge=0, description="seconds that running requests have to answer when the server stops"
    )
    origins: tuple[str, ...] = Field((), description="origins that CORS allows; none by default")
    chores: str = Field(
        CHORES,
        description="regular expression (RE2); a request whose last user message matches it is "
        "answered by `chores_by`; empty: none",
    )
    chores_by: str = Field(
        "direct", description="strategy that answers the requests that `chores` matches"
    )
    specs: bool = Field(False, description="whether a request may bring its own spec")
    page: bool = Field(True, description="whether to serve the web page at /")
    token: str = Field(
        default_factory=lambda: secrets.token_urlsafe(24),
        repr=False,
        description="token required to open the page; empty: none is required; random by default",
    )
    history: Path | None = Field(
        None, description="SQLite file of the page's runs; None: they are kept in memory"
    )

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
