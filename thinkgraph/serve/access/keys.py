"""API keys, each with an optional quota of sampled tokens per hour."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Frozen
from thinkgraph.serve.errors import RequestError

VARIABLE = "THINKGRAPH_API_KEY"
HOUR_S = 3600.0
SHORTEST = 16
"""Minimum length of a key, and of the page's token if the server isn't local."""


class Key(Frozen):
    """One key of the key file."""

    key: str = Field(min_length=SHORTEST, repr=False, description="the secret API key")
    tokens_per_hour: int | None = Field(
        None, ge=1, description="maximum number of sampled tokens per hour; null: no limit"
    )


class KeyBudget(Budget):
    """The hourly budget of sampled tokens of one key, which its requests share."""

    def __init__(self, tokens: int | None) -> None:
        super().__init__(tokens)

    def renew(self) -> None:
        """Start a new hour if the last one is over."""
        with self._lock:
            if time.monotonic() - self._began >= HOUR_S:
                self._spent_tokens, self._began = 0, time.monotonic()

    @property
    def renews_s(self) -> float:
        """Seconds until the next hour starts."""
        return max(HOUR_S - (time.monotonic() - self._began), 1.0)


class Client:
    """The sender of requests, identified by its API key.

    Attributes:
        name: the name of the key; empty if none is needed.
        budget: the budget that all requests of the key share.
    """

    def __init__(self, name: str = "", tokens_per_hour: int | None = None) -> None:
        self.name, self.budget = name, KeyBudget(tokens_per_hour)

    def check(self) -> None:
        """Refuse a request if the key's budget is spent.

        Raises:
            RequestError: status 429: the budget is spent.
        """
        self.budget.renew()
        if reason := self.budget.exhausted:
            raise RequestError(
                f"{reason} for the key {self.name!r} in this hour",
                status=429,
                code="insufficient_quota",
                retry_s=self.budget.renews_s,
            )


class Keys:
    """The API keys of a server; without any, every request is accepted.

    Args:
        keys: the keys by name.
    """

    def __init__(self, keys: Mapping[str, Key] | None = None) -> None:
        self._clients = [
            (_digest(key.key), Client(name, key.tokens_per_hour))
            for name, key in (keys or {}).items()
        ]
        self._anybody = Client()

    def __bool__(self) -> bool:
        return bool(self._clients)

    def client(self, authorization: str | None) -> Client:
        """The client of a request, by its ``Authorization`` header.

        Compares all keys, each in constant time, against timing attacks.

        Raises:
            RequestError: status 401: the key is missing or unknown.
        """
        if not self._clients:
            return self._anybody
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip() if scheme.lower() == "bearer" else "")
        found = [client for digest, client in self._clients if hmac.compare_digest(digest, given)]
        if not found:
            raise RequestError(
                "the API key is missing or wrong; send `Authorization: Bearer KEY`",
                status=401,
                code="invalid_api_key",
            )
        return found[0]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def read_keys(path: Path | None) -> Keys:
    """Read the keys from a file, or from the variable ``THINKGRAPH_API_KEY`` (comma-separated).

    The file is YAML: ``NAME: KEY``, or ``NAME: {key: KEY, tokens_per_hour: N}``.

    Raises:
        ThinkgraphError: the file can't be read, or a key is too short. The message contains no
            key.
    """
    if path is None:
        given = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
        return Keys({f"key-{i}": _key(VARIABLE, {"key": key}) for i, key in enumerate(given, 1)})
    try:
        data = YAML(typ="safe").load(path.read_text("utf-8"))
    except OSError as error:
        raise ThinkgraphError(f"{path} can't be read: {error.strerror or error}") from None
    except (YAMLError, UnicodeDecodeError):
        raise ThinkgraphError(f"{path} is not YAML; write NAME: KEY, one a line") from None
    if not isinstance(data, dict) or not data:
        raise ThinkgraphError(f"{path} has no keys; write NAME: KEY, one a line")
    return Keys({str(name): _key(f"{path}, {name}", each) for name, each in data.items()})


def _key(place: str, given: Any) -> Key:
    told = given if isinstance(given, dict) else {"key": given}
    if not isinstance(told.get("key", ""), str):
        raise ThinkgraphError(f"{place}: YAML doesn't read the key as text; put it in quotes")
    try:
        return Key.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ThinkgraphError(f"{place}: {field}: {first['msg']}") from None
