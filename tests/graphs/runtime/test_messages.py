"""Any history of LangChain's as turns that any prompt and chat template takes."""

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Message

CALL = {"name": "add", "args": {"a": 2, "b": 3}, "id": "1", "type": "tool_call"}


def asked(*history):
    """What a model is asked after a history."""
    model = ScriptedModel(["It is 5."])
    turns = [*history, HumanMessage("And so?")]
    tg.load("direct").compile(model=model).invoke({"messages": turns})
    return [(m.role, m.content) for m in model.calls[0].messages]


def test_a_plain_conversation_is_as_it_was():
    turns = [SystemMessage("Be brief."), HumanMessage("Hello."), AIMessage("Hi.")]
    assert asked(*turns) == [
        ("system", "Be brief."),
        ("user", "Hello."),
        ("assistant", "Hi."),
        ("user", "And so?"),
    ]


def test_a_call_of_a_tool_and_its_result_are_shown():
    told = asked(
        HumanMessage("2 + 3?"),
        AIMessage("Let me see.", tool_calls=[CALL]),
        ToolMessage("5", tool_call_id="1"),
        AIMessage("It is 5."),
    )
    text = "\n".join(content for _, content in told)
    assert "Let me see." in text
    assert "add" in text and "2" in text and "5" in text
    assert told[-1] == ("user", "And so?")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ([{"type": "text", "text": "Look: "}, "here."], "Look: here."),
        (
            [{"type": "text", "text": "See "}, {"type": "image_url", "image_url": "data:x"}],
            "See [image]",
        ),
        ([{"type": "audio", "base64": "x"}], "[audio]"),
    ],
)
def test_blocks_of_a_content_are_text_or_named(content, shown):
    assert asked(HumanMessage(content), AIMessage("Yes."))[0] == ("user", shown)


@pytest.mark.parametrize(
    "call",
    [
        AIMessage("", tool_calls=[CALL | {"args": {"city": "Bonn"}, "name": "weather"}]),
        AIMessage([{"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Bonn"}}]),
        AIMessage("", invalid_tool_calls=[{"name": "weather", "args": '{"city": "Bonn"}'}]),
        AIMessage(
            "",
            additional_kwargs={
                "function_call": {"name": "weather", "arguments": '{"city": "Bonn"}'}
            },
        ),
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        ToolMessage("Sunny.", tool_call_id="1", name="weather"),
        FunctionMessage("Sunny.", name="weather"),
        ChatMessage("Sunny.", role="tool"),
        HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": "Sunny."}]),
    ],
)
def test_no_form_of_a_call_or_a_result_is_lost(call, answer):
    text = "\n".join(content for _, content in asked(HumanMessage("So?"), call, answer))
    assert 'Call of weather: {"city": "Bonn"}' in text
    assert "Result of weather: Sunny." in text or "Result of a tool: Sunny." in text


def test_what_a_tool_said_is_never_the_question():
    told = [HumanMessage("2 + 3?"), AIMessage("", tool_calls=[CALL]), ChatMessage("5", role="tool")]
    assert tg.load("direct").run(told, model=ScriptedModel(["5"])).question == "2 + 3?"


def test_a_thought_is_left_out():
    content = [{"type": "reasoning", "reasoning": "hmm"}, {"type": "text", "text": "Yes."}]
    told = asked(HumanMessage("So?"), AIMessage(content))
    assert told[1] == ("assistant", "Yes.")


def test_who_speaks_is_told():
    told = asked(HumanMessage("I say 5.", name="Ann"), AIMessage("Thanks."))
    assert told[0] == ("user", "Ann: I say 5.")


def test_other_kinds_of_messages_are_turns_too():
    told = asked(ChatMessage("Hello.", role="user"), ChatMessage("Hi.", role="assistant"))
    assert told[:2] == [("user", "Hello."), ("assistant", "Hi.")]


def test_a_users_turn_of_another_kind_asks():
    asked = {"messages": [ChatMessage("2 + 3?", role="user")]}
    values = tg.load("direct").compile(model=ScriptedModel(["It is 5."])).invoke(asked)
    assert values["answer"]["value"] == "5"


def test_neighbours_of_one_role_are_one_turn():
    assert asked(HumanMessage("First."), HumanMessage("Second.")) == [
        ("user", "First.\n\nSecond.\n\nAnd so?")
    ]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user"}],
        [{"role": "wizard", "content": "x"}],
        [("wizard", "x")],
        [3],
        3,
        [AIMessage("Nothing is asked.")],
        [HumanMessage("  ")],
        [],
    ],
)
def test_what_is_no_conversation_is_told_in_words(messages):
    app = tg.load("direct").compile(model=ScriptedModel(["5"]))
    with pytest.raises(tg.ThinkgraphError, match=r"messages|question|asked"):
        app.invoke({"messages": messages})
    if isinstance(messages, list):
        with pytest.raises(tg.ThinkgraphError):
            tg.load("direct").run(messages, model=ScriptedModel(["5"]))


def test_no_messages_beside_a_question_are_no_error():
    app = tg.load("direct").compile(model=ScriptedModel(["5"]))
    values = app.invoke({"question": "2 + 3?", "messages": None})
    assert [message.type for message in values["messages"]] == ["human", "ai"]


def test_a_question_is_a_text():
    app = tg.load("direct").compile(model=ScriptedModel(["5"]))
    with pytest.raises(tg.ThinkgraphError, match=r"a question is a text, not \['2 \+ 3\?'\]"):
        app.invoke({"question": ["2 + 3?"]})


def test_a_run_takes_messages_of_either_library():
    for turns in ([Message(role="user", content="2 + 3?")], [HumanMessage("2 + 3?")]):
        result = tg.load("direct").run(turns, model=ScriptedModel(["5"]))
        assert (result.question, result.answer.value) == ("2 + 3?", "5")
