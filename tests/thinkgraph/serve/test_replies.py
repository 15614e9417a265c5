"""Replies of strategies: whole, once, and the best so far where a limit cuts them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.thinkgraph.serve.conftest import Serve
from thinkgraph.models.backends import scripted
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.backends.streams import Step
from thinkgraph.models.errors import ModelError
from thinkgraph.serve.offer.strategies import Strategies

ASKED: Any = [{"role": "user", "content": "What is 3 times 4?"}]
SHAPE: Any = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SHAPE}}


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture
def prose(serve: Serve) -> openai.OpenAI:
    """A server whose model writes twelve words, whatever schema it is given."""
    return client_of(serve(ScriptedModel(lambda messages, seed: "word " * 12)).url)


@pytest.mark.parametrize("model", ["direct", "self-consistency@2"])
def test_a_limit_cuts_an_answer_with_a_schema_as_any_other(
    prose: openai.OpenAI, model: str
) -> None:
    asked: Any = {"model": model, "messages": ASKED, "response_format": FORM}
    asked["max_completion_tokens"] = 5
    (choice,) = prose.chat.completions.create(**asked).choices
    assert choice.finish_reason == "length"
    assert choice.message.content and choice.message.content.startswith("word word")
    chunks = list(
        prose.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    ends = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert ends == ["length"]
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0


def test_a_limit_makes_a_response_with_a_schema_incomplete(prose: openai.OpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "sum", "schema": SHAPE}}
    asked: Any = {"model": "direct", "input": "Sum?", "text": form, "max_output_tokens": 5}
    done = prose.responses.create(**asked)
    assert done.status == "incomplete" and done.output_text == "word word word word word"
    *_, last = prose.responses.create(**asked, stream=True)
    assert last.type == "response.incomplete"


def test_an_uncut_answer_that_misses_its_schema_is_the_models_failure(
    prose: openai.OpenAI,
) -> None:
    with pytest.raises(openai.InternalServerError, match="doesn't match its json_schema") as caught:
        prose.chat.completions.create(model="direct", messages=ASKED, response_format=FORM)
    assert caught.value.status_code == 502
    assert caught.value.body["type"] == "server_error"  # type: ignore[index]


BROKEN = "It is two times six, so 12."


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text ``BROKEN`` of a scripted model breaks off after four words."""
    words = scripted._words

    async def broken(reply: Any, *given: Any) -> AsyncGenerator[Step, None]:
        count = 0
        async for step in words(reply, *given):
            yield step
            count += 1
            if reply == BROKEN and count == 4:
                raise ModelError("the connection broke")

    monkeypatch.setattr(scripted, "_words", broken)


def offered(tmp_path: Path, spec: str) -> Strategies:
    path = tmp_path / "own.yaml"
    path.write_text(f"thinkgraph: 1\nname: own\n{spec}")
    return Strategies.load([str(path)])


@pytest.mark.parametrize(
    ("repaired", "text"),
    [
        (
            "  again: {kind: synthesize, retry: {max_attempts: 2, initial_interval: 0.001}}\n",
            "It is 12.",
        ),
        # The draft stays live beside what the fallback writes, and comes first in the vote.
        ("  again: {kind: synthesize, fallback: other}\n  other: {kind: generate}\n", "A draft."),
    ],
)
@pytest.mark.usefixtures("breaking")
def test_a_second_attempt_replaces_the_first_in_the_answer(
    serve: Serve, tmp_path: Path, repaired: str, text: str
) -> None:
    spec = f"nodes:\n  draft: {{kind: generate}}\n{repaired}edges: START -> draft -> again -> END\n"
    texts = ["A draft.", BROKEN, "It is 12."]
    own = offered(tmp_path, spec)
    for stream in (False, True):
        client = client_of(serve(ScriptedModel(texts), offered=own).url)
        assert content(client, stream=stream) == text


def content(client: openai.OpenAI, *, stream: bool) -> str:
    """The content of the strategy's reply."""
    asked: Any = {"model": "own", "messages": ASKED}
    if not stream:
        return client.chat.completions.create(**asked).choices[0].message.content or ""
    chunks = list(client.chat.completions.create(**asked, stream=True))
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)


def test_an_output_of_another_field_comes_without_the_answer(serve: Serve, tmp_path: Path) -> None:
    spec = (
        "state: {plan: {type: string, default: ''}}\noutput: plan\nnodes:\n"
        "  abstract: {kind: ask, into: plan, prompt: step-back}\n  reply: {kind: generate}\n"
        "edges: START -> abstract -> reply -> END\n"
    )
    own = offered(tmp_path, spec)
    for stream in (False, True):
        model = ScriptedModel(["First add.", "It is 12."])
        assert content(client_of(serve(model, offered=own).url), stream=stream) == "First add."
