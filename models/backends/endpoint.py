"""A model behind an OpenAI-compatible endpoint: llama-server, vLLM, SGLang, a hosted one.

``openai:MODEL@URL`` names it, for example ``openai:qwen3@http://127.0.0.1:8080/v1``. The server
batches the samples, each of which is a request of its own. Such an endpoint can't continue a
given beginning of an answer, give the probabilities of given texts or options, report entropies,
fork a prefix in the KV cache, or change adapters: whatever needs one of these raises an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from thinkgraph.models.backends.langchain import LangChainModel
from thinkgraph.models.errors import ModelBusy, ModelError, PromptRefused, PromptTooLong
from thinkgraph.models.model import Sampling, TokenLogprob

if TYPE_CHECKING:
    import openai
    from langchain_core.messages import AIMessageChunk
    from langchain_openai.chat_models.base import BaseChatOpenAI

    from thinkgraph.models.backends.streams import Step

KEY = "OPENAI_API_KEY"
FORM = "openai:MODEL@URL, for example openai:qwen3@http://127.0.0.1:8080/v1"
INSTALL = 'a model at an endpoint needs langchain-openai; run: pip install "thinkgraph[openai]"'
RETRIES = 2
"""How often a request is retried after a broken connection, a 429 or a 5xx."""
SILENCE_S = 600.0
"""Maximum seconds to wait for the next chunk, including queueing at the server."""
CONNECT_S = 10.0
STANDARD = ("temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "seed")
"""Settings of OpenAI's own API."""
BESIDE = ("top_k", "min_p", "ignore_eos", "json_schema")
"""Further settings of llama-server, vLLM and SGLang, passed on only if they were changed."""


WEIGHTS = ("root", "n_params", "size", "n_vocab", "n_embd", "ftype")
"""Keys of a server's model list that describe the weights, as vLLM and llama-server name them."""


class Endpoint(NamedTuple):
    """A model on a server."""

    model: str
    url: str

    @classmethod
    def parse(cls, name: str) -> Endpoint:
        """Read ``openai:MODEL@URL``.

        Raises:
            ModelError: the name has another form, or the URL contains a key or a password.
        """
        found = re.fullmatch(r"openai:(\S+?)@(https?://[^\s/?#]+[^\s?#]*)", name)
        if not found:
            raise ModelError(f"{name!r} is not {FORM}")
        model, url = found[1], found[2].rstrip("/")
        if "@" in url.split("/")[2]:
            raise ModelError(f"the URL of {model} has a password in it; put the key into {KEY}")
        return cls(model, url)


class EndpointModel(LangChainModel):
    """A model on an OpenAI-compatible server.

    The key is read from the environment variable ``OPENAI_API_KEY`` and sent to this server; a
    local server needs none. If the server sends ``logprobs``, a completion has the
    log-probabilities of its tokens and their mean; ``top_logprobs`` also requests the likeliest
    tokens at each position.

    Args:
        name: ``openai:MODEL@URL``.

    Attributes:
        weights: what the server reports about the model's weights, if anything; it differs for
            another model that is later served under the same name.

    Raises:
        ModelError: the name has another form, the server can't be reached, refuses the key or
            doesn't know the model, or langchain-openai isn't installed.
    """

    about: ClassVar[str] = "a model behind an OpenAI-compatible endpoint"

    def __init__(self, name: str) -> None:
        self._endpoint = Endpoint.parse(name)
        client = _client(self._endpoint)
        listed = _listed(client, self._endpoint)
        meta = listed["meta"] if isinstance(listed.get("meta"), dict) else {}
        self.weights = {key: told[key] for told in (listed, meta) for key in WEIGHTS if key in told}
        context = meta.get("n_ctx") or listed.get("max_model_len")
        super().__init__(client, name=name, accepts=(*STANDARD, *BESIDE), context_length=context)

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        if sampling.confidence:
            tells = "tells log-probabilities at most, and no entropies (`confidence: true`)"
            raise ModelError(f"{self.name} is {self.about}, which {tells}; use a GGUF model there")
        without = {name: value for name, value in sampling if name != "top_logprobs"}
        settings = super()._settings(Sampling(**without))  # the defaults as well
        given = {name: settings.pop(name) for name in BESIDE if name in settings}
        fields = type(sampling).model_fields
        extra = {name: value for name, value in given.items() if value != fields[name].default}
        if (schema := extra.pop("json_schema", None)) is not None:  # {} is any JSON
            extra["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        top = {"top_logprobs": sampling.top_logprobs} if sampling.top_logprobs else {}
        return settings | top | {"extra_body": extra or None}

    def _failure(self, error: Exception) -> ModelError:
        return _failure(error, self._endpoint)

    def _last_step(self, whole: AIMessageChunk, counted: int, prompt: int) -> Step:
        if not whole.response_metadata.get("finish_reason"):
            raise ModelError(f"{self._endpoint.url} ended an answer before it was finished")
        last = super()._last_step(whole, counted, prompt)
        return last._replace(logprobs=_logprobs(whole.response_metadata.get("logprobs")))


def _logprobs(told: Any) -> tuple[TokenLogprob, ...]:
    """Log-probabilities in the form of OpenAI's API; empty if a server sends another form."""
    entries = told.get("content") if isinstance(told, dict) else None
    try:
        return tuple(_logprob(each, each.get("top_logprobs") or ()) for each in entries or ())
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()


def _logprob(told: dict[str, Any], top: Sequence[dict[str, Any]] = ()) -> TokenLogprob:
    text = told["token"]
    raw = told.get("bytes")
    return TokenLogprob(
        token=-1,
        text=text,
        logprob=told["logprob"],
        raw=tuple(text.encode("utf-8", "replace") if raw is None else raw),
        others=tuple(_logprob(each) for each in top),
    )


def _client(endpoint: Endpoint) -> BaseChatOpenAI:
    try:
        import openai  # noqa: PLC0415 - slow to import, and optional
        from langchain_openai.chat_models.base import BaseChatOpenAI  # noqa: PLC0415
        from pydantic import SecretStr  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(INSTALL) from error
    # Not ChatOpenAI: it renames max_tokens to a name that not every server knows.
    return BaseChatOpenAI(
        model=endpoint.model,
        base_url=endpoint.url,
        api_key=SecretStr(os.environ.get(KEY) or "none"),
        timeout=openai.Timeout(SILENCE_S, connect=CONNECT_S),
        stream_chunk_timeout=SILENCE_S,
        max_retries=RETRIES,
        # A connection can't be reused by another event loop, and a model may serve several.
        default_headers={"Connection": "close"},
        stream_usage=True,
        logprobs=True,
        use_responses_api=False,
    )


def _listed(client: BaseChatOpenAI, endpoint: Endpoint) -> dict[str, Any]:
    """The entry of this model in the server's list of models.

    Raises:
        ModelError: the server can't be asked, or the model isn't in its list.
    """
    import openai  # noqa: PLC0415 - slow to import, and optional

    server = cast("openai.OpenAI", client.root_client).with_options(timeout=CONNECT_S)
    try:
        listed = [model.model_dump() for model in server.models.list().data]
    except openai.OpenAIError as error:
        raise _failure(error, endpoint) from error
    except (AttributeError, TypeError, ValueError) as error:  # an HTML page, or other JSON
        raise ModelError(f"{endpoint.url} lists no models; most such URLs end in /v1") from error
    for model in listed:
        if endpoint.model in (model["id"], *(model.get("aliases") or ())):
            return model
    names = ", ".join(str(model["id"]) for model in listed) or "none"
    raise ModelError(f"{endpoint.url} has no model {endpoint.model!r}; it has {names}")


def _failure(error: Exception, endpoint: Endpoint) -> ModelError:
    """Convert a client's exception to an error that says what to do."""
    import openai  # noqa: PLC0415 - slow to import, and optional

    match error:
        case openai.APITimeoutError() | TimeoutError():
            said = "did not answer in time; is the server busy?"
        case openai.APIConnectionError():
            said = f"can't be reached ({_brief(error.__cause__ or error)}); is the server running?"
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            said = f"refuses the key in {KEY}" if os.environ.get(KEY) else f"wants a key in {KEY}"
        case openai.NotFoundError():
            said = f"knows no such API, or no model {endpoint.model!r}; most such URLs end in /v1"
        case openai.APIError(code="context_length_exceeded"):
            return _overflow(error, endpoint)
        case openai.BadRequestError() if "context" in str(error):
            return _overflow(error, endpoint)
        case openai.RateLimitError():
            return _busy(error, endpoint)
        case openai.APIStatusError():
            said = f"refuses the request with status {error.status_code}: {_brief(error)}"
        case _:
            said = f"broke off an answer: {_brief(error)}"
    return ModelError(f"{endpoint.url} {said}")


def _overflow(error: openai.APIError, endpoint: Endpoint) -> ModelError:
    body = error.body if isinstance(error.body, dict) else {}
    tokens, limit = body.get("n_prompt_tokens"), body.get("n_ctx")
    if isinstance(tokens, int) and isinstance(limit, int):
        return PromptTooLong(tokens, limit - 1, limit)
    way_out = "shorten the question or give the server a longer context"
    return PromptRefused(f"{endpoint.url} finds the prompt too long ({_brief(error)}); {way_out}")


def _busy(error: openai.RateLimitError, endpoint: Endpoint) -> ModelBusy:
    busy = ModelBusy(f"{endpoint.url} has too many requests: {_brief(error)}")
    with suppress(ValueError):  # it may also be a date
        busy.retry_s = float(error.response.headers.get("Retry-After", ""))
    return busy


def _brief(error: BaseException) -> str:
    """The server's own error message, in one line."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error).split()) or type(error).__name__
