"""API keys: who may ask, and how many tokens each may spend in an hour."""

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
"""Characters that a key, or the token of a page that others reach, has at least."""


class Key(Frozen):
    """One key of the file."""

    key: str = Field(min_length=SHORTEST, repr=False, description="the secret")
    tokens_per_hour: int | None = Field(None, ge=1, description="null is no limit")


class KeyBudget(Budget):
    """The sampled tokens of one key, in windows of an hour; shared by its requests."""

    def __init__(self, tokens: int | None) -> None:
        super().__init__(tokens)

    def renew(self) -> None:
        """Begin a new window if the last is over."""
        with self._lock:
            if time.monotonic() - self._began >= HOUR_S:
                self._spent_tokens, self._began = 0, time.monotonic()

    @property
    def renews_s(self) -> float:
        """Seconds until the next window."""
        return max(HOUR_S - (time.monotonic() - self._began), 1.0)


class Client:
    """Who asks.

    Attributes:
        name: the name of the key; empty where none is needed.
        budget: what all requests of the key may spend.
    """

    def __init__(self, name: str = "", tokens_per_hour: int | None = None) -> None:
        self.name, self.budget = name, KeyBudget(tokens_per_hour)

    def check(self) -> None:
        """Refuse a request for which nothing is left.

        Raises:
            RequestError: status 429.
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
    """The keys of a server; with none, everybody may ask.

    Args:
        keys: by name.
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
        """Who a request is from, by its ``Authorization`` header.

        Every key is compared, each in constant time.

        Raises:
            RequestError: status 401: the key is missing or is none of these.
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
    """The keys of a file, or of the environment's ``THINKGRAPH_API_KEY`` (comma-separated).

    The file is YAML: ``NAME: KEY``, or ``NAME: {key: KEY, tokens_per_hour: N}``.

    Raises:
        ThinkgraphError: the file can't be read, or a key is too short. No key is in the message.
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
