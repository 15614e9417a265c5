"""Replies of strategies: whole, once, and the best so far where a limit cuts them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.thinkgraph.serve.conftest import Serve, answer
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


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other completion of scripted models breaks off after four words."""
    words, begun = scripted._words, []

    async def broken(*given: Any) -> AsyncGenerator[Step, None]:
        begun.append(given)
        number = len(begun)
        count = 0
        async for step in words(*given):
            yield step
            if (count := count + 1) == 4 and number % 2:
                raise ModelError("the connection broke")

    monkeypatch.setattr(scripted, "_words", broken)


@pytest.mark.parametrize("repair", ["retry", "fallback"])
@pytest.mark.usefixtures("breaking")
def test_a_second_attempt_replaces_the_first_in_the_answer(
    serve: Serve, tmp_path: Path, repair: str
) -> None:
    write = "{kind: generate, prompt: step-by-step"
    nodes = {
        "retry": f"{{a: {write}, retry: {{max_attempts: 2, initial_interval: 0.001}}}}}}",
        "fallback": f"{{a: {write}, fallback: b}}, b: {write}}}}}",
    }[repair]
    spec = f"thinkgraph: 1\nname: repaired\nnodes: {nodes}\nedges: START -> a -> END\n"
    (tmp_path / "repaired.yaml").write_text(spec)
    offered = Strategies.load([str(tmp_path / "repaired.yaml")])
    client = client_of(serve(ScriptedModel(answer), offered=offered).url)
    asked: Any = {"model": "repaired", "messages": ASKED, "seed": 1}
    text = "Three times four, added up. The answer is 12."
    assert client.chat.completions.create(**asked).choices[0].message.content == text
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == text
