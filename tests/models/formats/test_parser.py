"""Thoughts, answers and calls are told apart as they come, wherever the text is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.formats.format import PLAIN, format_of
from thinkgraph.models.formats.parser import ResponseParser, Said
from thinkgraph.models.model import Tool

TOOL = Tool(
    name="add",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
    },
)
HARMONY = format_of("<|channel|><|message|>")


def read(form, text, sizes=(), tools=(TOOL,), place="answer"):
    parser = ResponseParser(form, tools, place=place)
    at, told = 0, Said()
    for size in [*sizes, len(text), None]:
        if size is None:
            parser.close()
        else:
            parser.feed(text[at : at + size])
            at += size
        said = parser.take()
        told.text += said.text
        told.reasoning += said.reasoning
        told.add_calls(said)
    assert [told.text, told.reasoning] == [parser.text, parser.reasoning]
    invalid = {call.index for call in parser.invalid_tool_calls}
    pieces = [piece for piece in told.pieces.values() if piece.index not in invalid]
    assert [(p.id, p.name, json.loads(p.arguments)) for p in pieces] == [
        (call.id, call.name, call.arguments) for call in parser.tool_calls
    ]
    return parser


def result(parser):
    calls = [(call.name, call.arguments) for call in parser.tool_calls]
    wrong = [(call.text, call.error) for call in parser.invalid_tool_calls]
    return parser.text, parser.reasoning, calls, wrong


PARTS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "\n", "a", " ", "{", "}", "```", "["]
CALL = '{"name": "add", "arguments": {"a": 1, "b": "x"}}'


@given(st.lists(st.sampled_from([*PARTS, CALL]), max_size=8), st.lists(st.integers(1, 5)))
def test_the_result_does_not_depend_on_where_the_text_is_cut(parts, sizes):
    text = "".join(parts)
    assert result(read(PLAIN, text, sizes)) == result(read(PLAIN, text))


CALLS = [
    ("<tool_call>", f"<tool_call>{CALL}</tool_call>"),
    ("<tool_call>", f'<tool_call>{CALL[:-2]}, "c": "}}{{\\"\n"}}}}, {CALL}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>'),
    ("<tool_call>", '<tool_call>{"arguments": {"a": 1}, "name": "add"}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "add", "arguments": {}, "name": "b"}</tool_call>'),
    ("[TOOL_CALLS] [ARGS]", '[TOOL_CALLS]add[ARGS]{"a": [{}, {"b": "\\\\"}]}[TOOL_CALLS]add[ARGS]'),
    (
        "<|tools_prefix|>",
        '<|tools_prefix|>[{"add": {"a": 1}}, {"add": {}, "b": {}}]<|tools_suffix|>',
    ),
    (
        "<tool_call> <function= <parameter=",
        "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n"
        "<function=x>\n</parameter>\n</function>\n<function=add>\n</function></tool_call>",
    ),
    (
        "<arg_key> <tool_call>",
        "<tool_call>add\n<arg_key>b</arg_key>\n<arg_value>1 < 2</arg_value></tool_call>",
    ),
]


@given(st.sampled_from(CALLS), st.lists(st.integers(1, 9)), st.integers(0, 150))
def test_a_call_in_pieces_is_the_whole_call_wherever_it_is_cut(case, sizes, end):
    template, text = case
    form, text = format_of(template), text[: end if end < 100 else None]
    assert result(read(form, text, sizes)) == result(read(form, text))


@pytest.mark.parametrize(("template", "text"), CALLS[:2] + CALLS[5:])
def test_the_name_of_a_call_comes_before_the_call_is_whole(template, text):
    parser, pieces = ResponseParser(format_of(template), [TOOL]), []
    for char in text:
        parser.feed(char)
        pieces += parser.take().pieces.values()
        if pieces and pieces[-1].name:
            assert not parser.tool_calls or len(parser.tool_calls) == pieces[-1].index
    assert pieces[0].name == "add"
    assert len(pieces) > 2
    assert [piece.name for piece in pieces if piece.index == 0] == [
        "add",
        *[""] * (len([p for p in pieces if p.index == 0]) - 1),
    ]


def test_tags_that_are_cut_short_are_no_call():
    form = format_of("<tool_call> <function= <parameter=")
    text = "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n"
    for cut in (text, f"{text}<parameter=b>x"):
        assert result(read(form, cut))[2] == []
        assert len(read(form, cut).invalid_tool_calls) == 1


def test_a_thought_a_text_and_two_calls():
    calls = f"<tool_call>\n{CALL}\n</tool_call>\n<tool_call>{CALL}</tool_call>"
    text = f"<think>\nHm.\n</think>\n\nI add.\n{calls}"
    one = ("add", {"a": 1, "b": "x"})
    assert result(read(PLAIN, text)) == ("I add.", "Hm.", [one, one], [])


def test_tags_in_the_middle_of_an_answer_are_text():
    text = "Write <think> and </think> around it."
    assert result(read(PLAIN, text)) == (text, "", [], [])


def test_a_thought_that_the_prompt_has_opened_needs_no_tag():
    assert result(read(PLAIN, "Hm.</think>Four", place="thought"))[:2] == ("Four", "Hm.")


def test_a_thought_without_an_end_is_no_answer():
    assert result(read(PLAIN, "<think>Hm. Four"))[:2] == ("", "Hm. Four")


@pytest.mark.parametrize("text", [CALL, f"```json\n{CALL}\n```", f"[{CALL}]"])
def test_a_text_that_is_nothing_but_a_call_of_a_known_tool_is_one(text):
    assert result(read(PLAIN, text)) == ("", "", [("add", {"a": 1, "b": "x"})], [])


DOUBLED = '{{"name": "add", "arguments": {"a": 1, "b": "x"}}}'


@pytest.mark.parametrize("text", [DOUBLED, f"{DOUBLED}\n```", f"```json\n{DOUBLED}\n```"])
def test_doubled_braces_as_a_template_shows_them_are_read(text):
    assert result(read(PLAIN, text)) == ("", "", [("add", {"a": 1, "b": "x"})], [])


@pytest.mark.parametrize("between", ["", "\n"])
@pytest.mark.parametrize("extra", ["", "}"])
def test_doubled_braces_may_be_too_many(between, extra):
    text = f"{DOUBLED}{between}{DOUBLED}{extra}"
    assert result(read(PLAIN, text)) == ("", "", [("add", {"a": 1, "b": "x"})] * 2, [])


def test_a_call_without_delimiters_that_is_not_of_its_schema_is_invalid_where_calls_are_held():
    text = '{"name":   "add", "arguments": {"a": 1.5}}'
    for checked in (True, False):
        parser = ResponseParser(PLAIN, [TOOL], checked=checked)
        parser.feed(text)
        parser.close()
        assert len(parser.invalid_tool_calls) == checked
        assert len(parser.tool_calls) == (not checked)


@pytest.mark.parametrize("text", ['{"name": "other", "arguments": {}}', "{1}", "```py\nx\n```"])
def test_other_json_and_code_is_the_answer(text):
    assert result(read(PLAIN, text)) == (text, "", [], [])


def test_without_tools_nothing_is_a_call():
    text = f"<tool_call>{CALL}</tool_call>"
    assert result(read(PLAIN, text, tools=()))[0] == text


def test_what_is_no_call_is_told_with_its_text():
    text, _, calls, wrong = result(read(PLAIN, '<tool_call>{"name": "add", "argum'))
    assert (text, calls) == ("", [])
    assert wrong[0][0] == '{"name": "add", "argum'
    assert "not JSON" in wrong[0][1]


def test_channels_of_gpt_oss():
    text = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to="
        'functions.add <|constrain|>json<|message|>{"a": 1}<|call|>'
    )
    for sizes in ((), [1] * len(text)):
        parser = read(HARMONY, text, sizes, place="header")
        assert result(parser) == ("", "Hm.", [("add", {"a": 1})], [])
    text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>4"
    assert result(read(HARMONY, text, place="header"))[:2] == ("4", "Hm.")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            "<tool_call> <function= <parameter=",
            "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n</parameter>\n</function>\n</tool_call>",
        ),
        ("[TOOL_CALLS] [ARGS]", '[TOOL_CALLS]add[ARGS]{"a": 1, "b": "x"}'),
        ("[TOOL_CALLS]", f"[TOOL_CALLS][{CALL}]"),
        ("<|tool_call_start|>", "<|tool_call_start|>[add(a=1, b='x')]<|tool_call_end|>"),
        ("<|tool_call> <tool_call|>", '<|tool_call>call:add{a:1,b:<|"|>x<|"|>}<tool_call|>'),
        (
            "Action: tool_name",
            'Action: ```json\n[{"tool_name": "add", "parameters": {"a": 1, "b": "x"}}]\n```',
        ),
        ('<|python_tag|> "parameters"', '{"name": "add", "parameters": {"a": 1, "b": "x"}}'),
        (">>>all", '>>>add\n{"a": 1, "b": "x"}'),
        ("functools", f" functools[{CALL}]"),
        (
            "<｜tool▁call▁begin｜>",
            '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1, "b": "x"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',  # noqa: E501
        ),
    ],
)
def test_calls_in_the_forms_of_several_families(template, text):
    form = format_of(template)
    place = "header" if form.channels else "answer"
    for size in (1, 3, len(text)):
        sizes = [size] * (len(text) // size)
        parser = read(form, text, sizes, place=place)
        assert result(parser) == ("", "", [("add", {"a": 1, "b": "x"})], [])


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[add(" * 5000, "[add(a=" + "-" * 100_000 + "1)]", "[add(a=(1).__class__)]"],
)
def test_a_hostile_call_is_invalid_and_nothing_is_evaluated(text):
    form = format_of("<|tool_call_start|>")
    parser = read(form, f"<|tool_call_start|>{text}<|tool_call_end|>")
    assert parser.tool_calls == []
    assert len(parser.invalid_tool_calls) == 1
