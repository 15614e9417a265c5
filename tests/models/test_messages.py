"""LangChain's messages as ours, and back."""

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from thinkgraph.models.errors import ModelError
from thinkgraph.models.messages import from_langchain, to_langchain
from thinkgraph.models.model import Message, ToolCall

CALL = {"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}
TALK = [
    SystemMessage("Be brief."),
    HumanMessage("1+2?"),
    AIMessage("", tool_calls=[CALL], additional_kwargs={"reasoning_content": "Use the tool."}),
    ToolMessage("3", tool_call_id="c1"),
    AIMessage("3"),
]


def test_a_conversation_with_tools_comes_back_as_it_went():
    ours = from_langchain(TALK)
    assert [m.role for m in ours] == ["system", "user", "assistant", "tool", "assistant"]
    assert ours[2].tool_calls == (ToolCall(name="add", arguments={"a": 1, "b": 2}, id="c1"),)
    assert ours[2].reasoning == "Use the tool."
    assert from_langchain(to_langchain(ours)) == ours


def test_a_result_is_named_after_the_tool_whose_call_it_answers():
    assert from_langchain(TALK)[3].name == "add"


def test_blocks_of_text_are_joined_and_thoughts_kept_apart():
    blocks = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "a"},
        "b",
        {"type": "tool_use", "id": "c1", "name": "add", "input": {}},
    ]
    (message,) = from_langchain([AIMessage(content=blocks, tool_calls=[CALL])])
    assert (message.content, message.reasoning) == ("ab", "Hm.")
    assert [call.name for call in message.tool_calls] == ["add"]


def test_other_roles_and_contents_are_refused():
    assert from_langchain([ChatMessage("x", role="user")]) == [Message(role="user", content="x")]
    with pytest.raises(ModelError, match="a function message is not supported"):
        from_langchain([FunctionMessage("x", name="f")])
    with pytest.raises(ModelError, match="content of type 'image' is not supported"):
        from_langchain([HumanMessage(content=[{"type": "image", "base64": "x"}])])
