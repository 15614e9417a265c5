"""Chat completions, asked for with OpenAI's own client."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.thinkgraph.serve.conftest import Running

ASKED: Any = [{"role": "user", "content": "What is 3 times 4?"}]


@pytest.fixture
def client(served: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def test_models_are_the_strategies_and_the_bare_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"self-consistency", "self-consistency@8", "direct", "tiny", "scripted"} <= {*names}
    assert client.models.retrieve("self-consistency@3").id == "self-consistency@3"


def test_a_strategy_answers_with_its_votes_as_reasoning(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="scripted/self-consistency@4", messages=ASKED, seed=3
    )
    ChatCompletion.model_validate(done.model_dump(), strict=True)
    message: Any = done.choices[0].message
    assert message.content.endswith("The answer is 12.")
    assert "Votes: 12 ×" in message.reasoning_content == message.reasoning
    assert done.usage and done.usage.completion_tokens_details
    assert 0 < done.usage.completion_tokens_details.reasoning_tokens < done.usage.completion_tokens


def test_a_stream_thinks_first_and_then_answers(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="scripted/self-consistency@4",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    deltas: list[Any] = [choice.delta for chunk in chunks for choice in chunk.choices]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    thinks = [bool(getattr(delta, "reasoning", None)) for delta in deltas]
    answers = [bool(delta.content) for delta in deltas]
    assert thinks.index(True) < answers.index(True)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage and not chunks[-1].choices
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == [
        "stop"
    ]


def test_a_bare_model_streams_its_text_token_by_token(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny", messages=ASKED, stream=True, max_tokens=12, seed=1
        )
    )
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 3
