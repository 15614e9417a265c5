"""The formats that models write in: where thoughts begin and end, and how tools are called.

This is data. A model's format is found by what its chat template and its vocabulary spell:
the first row of each table whose marks are there. Sources: the templates themselves, as published
with the models, and where a template only shows half, llama.cpp's and vLLM's parsers.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from thinkgraph.models.formats.calls import (
    BareKeys,
    Body,
    JsonObjects,
    Keyed,
    NamedJson,
    PythonCalls,
    Tags,
)
from thinkgraph.models.model import Written


@dataclass(frozen=True)
class Thought:
    """What a thought stands between."""

    begin: str
    end: str
    marks: tuple[str, ...] = ()
    """What a template spells that has it; empty is its ``end``."""
    opened: str = ""
    """How the model is made to think: ``begin`` with the line break that belongs to it."""
    closed: str = ""
    """How a thought is ended by force, and the answer begun."""


@dataclass(frozen=True)
class Calls:
    """What a tool's call stands between, and how it is written."""

    name: str
    marks: tuple[str, ...]
    """What a template spells that has it: all of them."""
    begin: str
    """What the model writes before a call, line breaks included."""
    end: str
    """What it writes behind it; empty is the end of its turn, or the next call."""
    body: Body
    around: tuple[str, ...] = ()
    """What stands around several calls, and is dropped."""


@dataclass(frozen=True)
class Channels:
    """A turn of several messages, each with a header that says what it is (gpt-oss, functionary).

    A header is matched against patterns: ``thought``, ``call`` (with the group ``name``), and all
    else is the answer.
    """

    begins: tuple[str, ...]
    """What a header begins with."""
    header_end: str
    ends: tuple[str, ...]
    """What a message ends with, besides the next header."""
    thought: str
    call: str
    answer: str
    """The header that leads to the answer, as it is written behind the generation prompt."""
    call_begin: str = ""
    """The header of a call, with ``NAME`` for the tool's name."""
    call_trigger: str = ""
    """What ``call_begin`` begins with that no other message does; empty is all of it."""
    call_end: str = ""
    """What ends a call."""
    body: Tags | None = None
    """How a call's message is written; None is its arguments as JSON."""
    starts_in_header: bool = True
    """Whether the generation prompt ends within a header."""


@dataclass(frozen=True)
class ChatFormat:
    """How one model writes: its thoughts, its calls, and what else stands around its answer."""

    thought: Thought | None = None
    calls: Calls | None = None
    channels: Channels | None = None
    around: tuple[str, ...] = ()
    """What stands around the answer, and is dropped."""
    tells_tools: bool = True
    """Whether its own way of calling tools is read; if not, they are told in words."""
    literals: tuple[str, ...] = field(init=False)
    """All that the parser looks for: control tokens spelled in them must be kept in the output."""

    def __post_init__(self) -> None:
        found = [*self.around]
        if self.thought:
            found += [self.thought.begin, self.thought.end]
        if self.calls:
            found += [self.calls.begin, self.calls.end, *self.calls.around]
            body = self.calls.body
            found += [
                str(getattr(body, name, "")) for name in ("before", "separator", "quote", "after")
            ]
        if self.channels:
            channels = self.channels
            found += [*channels.begins, channels.header_end, *channels.ends, channels.call_begin]
            found.append("<|constrain|>")
        object.__setattr__(self, "literals", tuple(dict.fromkeys(t for t in found if t.strip())))


THOUGHTS = (
    Thought("<|open|>think<|sep|>", "<|close|>think<|sep|>", marks=("<|open|>", "<|close|>")),
    Thought("<think:opensource>", "</think:opensource>", marks=(":opensource",)),
    Thought("<seed:think>", "</seed:think>"),
    Thought("[THINK]", "[/THINK]"),
    Thought("<|START_THINKING|>", "<|END_THINKING|>"),
    Thought("<|inner_prefix|>", "<|inner_suffix|>"),
    Thought("<|channel>thought\n", "<channel|>", marks=("<channel|>",)),
    Thought("<mm:think>", "</mm:think>"),
    Thought("<thought>", "</thought>"),
    Thought("<thinking>", "</thinking>"),
    Thought(
        "Here are my reasoning steps:\n",
        "[BEGIN FINAL RESPONSE]",
        closed="\n[BEGIN FINAL RESPONSE]\n",
    ),
    Thought("<think>", "</think>", opened="<think>\n", closed="\n</think>\n\n"),
)
"""Ways to mark a thought; the last is also tried where a model has none of them."""


def tags(begin: str, end: str) -> Written:
    """Arguments between tags, whatever their type."""
    return Written(begin=begin, end=end, text_begin=begin, text_end=end)


PARAMETERS = Tags(
    name=r"<function=(?P<name>[^>\n]+)>",
    argument=r"<parameter=(?P<key>[^>\n]+)>(?P<value>.*?)</parameter>",
    head="<function=NAME>\n",
    tail="</function>",
    written=tags("<parameter=KEY>\n", "\n</parameter>\n"),
)


# Kimi K3 tells a value's type; which of them doesn't change how it is read.
KIMI_ARGUMENTS = Written(
    begin='<|open|>argument key="KEY" type="number"<|sep|>',
    end="<|close|>argument<|sep|>",
    text_begin='<|open|>argument key="KEY" type="string"<|sep|>',
    text_end="<|close|>argument<|sep|>",
)


def invokes(prefix: str, types: bool = False) -> Tags:
    """``invoke`` and ``parameter`` with a prefix; ``types`` tells which values are texts."""
    name = rf"<{re.escape(prefix)}parameter name=\"(?P<key>[^\">]+)\"[^>]*>"
    begin = f'<{prefix}parameter name="KEY"'
    end = f"</{prefix}parameter>\n"
    return Tags(
        name=rf"<{re.escape(prefix)}invoke name=\"(?P<name>[^\">]+)\"[^>]*>",
        argument=rf"{name}(?P<value>.*?)</{re.escape(prefix)}parameter>",
        head=f'<{prefix}invoke name="NAME">\n',
        tail=f"</{prefix}invoke>",
        written=Written(
            begin=begin + (' string="false">' if types else ">"),
            end=end,
            text_begin=begin + (' string="true">' if types else ">"),
            text_end=end,
        ),
    )


def arg_keys(mark: str = "") -> Tags:
    """``arg_key`` and ``arg_value``, each with a mark in its tag."""
    key, value = f"arg_key{mark}", f"arg_value{mark}"
    separator = f"<tool_sep{mark}>" if mark else ""
    return Tags(
        name=rf"^\s*(?P<name>[^\s<]+){separator}",
        argument=rf"<{key}>(?P<key>.*?)</{key}>\s*<{value}>(?P<value>.*?)</{value}>",
        head=f"NAME{separator}\n",
        tail="",
        written=tags(f"<{key}>KEY</{key}>\n<{value}>", f"</{value}>\n"),
    )


HERMES = Calls("hermes", ("<tool_call>",), "<tool_call>\n", "\n</tool_call>", JsonObjects())

CALLS = (
    Calls(
        "seed",
        ("<seed:tool_call>",),
        "<seed:tool_call>\n",
        "\n</seed:tool_call>",
        PARAMETERS,
    ),
    Calls(
        "minimax",
        ("<minimax:tool_call>",),
        "<minimax:tool_call>\n",
        "\n</minimax:tool_call>",
        invokes(""),
    ),
    Calls(
        "deepseek-dsml",
        ("DSML", "function_calls"),
        "<｜DSML｜function_calls>\n",
        "\n</｜DSML｜function_calls>",
        invokes("｜DSML｜", types=True),
    ),
    Calls(
        "deepseek-v4",
        ("DSML", "tool_calls"),
        "<｜DSML｜tool_calls>\n",
        "\n</｜DSML｜tool_calls>",
        invokes("｜DSML｜", types=True),
    ),
    Calls(
        "minicpm",
        ('<function name="', "<param name="),
        '<function name="',
        "</function>",
        Tags(
            name=r"^(?P<name>[^\"]+)\">",
            argument=r"<param name=\"(?P<key>[^\"]+)\"[^>]*>(?P<value>.*?)</param>",
            head='NAME">',
            tail="",
            written=tags('<param name="KEY">', "</param>"),
        ),
    ),
    Calls(
        "minimax-m3",
        ("]<]minimax[>[",),
        "]<]minimax[>[<tool_call>\n",
        "\n]<]minimax[>[</tool_call>",
        Tags(
            name=r"\]<\]minimax\[>\[<invoke name=\"(?P<name>[^\">]+)\">",
            argument=r"\]<\]minimax\[>\[<(?P<key>[^<>/\s]+)>(?P<value>.*?)"
            r"\]<\]minimax\[>\[</(?P=key)>",
            head=']<]minimax[>[<invoke name="NAME">',
            tail="]<]minimax[>[</invoke>",
            written=tags("]<]minimax[>[<KEY>", "]<]minimax[>[</KEY>"),
        ),
    ),
    Calls(
        "kimi-k3",
        ("<|open|>", "<|close|>", "call"),
        '<|open|>call tool="',
        "<|close|>call<|sep|>",
        Tags(
            name=r"^(?P<name>[^\"]+)\"[^<]*<\|sep\|>",
            argument=r"<\|open\|>argument key=\"(?P<key>[^\"]+)\"[^<]*<\|sep\|>"
            r"(?P<value>.*?)<\|close\|>argument<\|sep\|>",
            head='NAME" index="1"<|sep|>',
            tail="",
            written=KIMI_ARGUMENTS,
        ),
        ("<|open|>tools<|sep|>", "<|close|>tools<|sep|>"),
    ),
    Calls(
        "hunyuan",
        ("<arg_key", ":opensource"),
        "<tool_call:opensource>",
        "</tool_call:opensource>",
        arg_keys(":opensource"),
        ("<tool_calls:opensource>", "</tool_calls:opensource>"),
    ),
    Calls(
        "solar",
        ("<|tool_call:begin|>", "<|tool_call:args|>"),
        "<|tool_call:begin|>",
        "<|tool_call:end|>",
        NamedJson("<|tool_call:args|>", pattern=r"(?:\w*<\|tool_call:name\|>)?(?P<name>[\w.\-]+?)"),
        ("<|tool_calls|>", "<|calls|>"),
    ),
    Calls(
        "glm",
        ("<arg_key>", "<tool_call>"),
        "<tool_call>",
        "</tool_call>",
        arg_keys(),
    ),
    Calls(
        "qwen3-coder",
        ("<tool_call>", "<function=", "<parameter="),
        "<tool_call>\n",
        "\n</tool_call>",
        PARAMETERS,
    ),
    Calls(
        "gemma",
        ("<|tool_call>", "<tool_call|>"),
        "<|tool_call>",
        "<tool_call|>",
        BareKeys(),
    ),
    Calls(
        "mistral-args",
        ("[TOOL_CALLS]", "[ARGS]"),
        "[TOOL_CALLS]",
        "",
        NamedJson("[ARGS]", pattern=r"(?P<name>[\w.\-]+?)(?:\[CALL_ID\]\w*)?"),
    ),
    Calls("mistral", ("[TOOL_CALLS]",), "[TOOL_CALLS]", "", JsonObjects(listed=True)),
    Calls(
        "kimi",
        ("<|tool_call_argument_begin|>",),
        "<|tool_call_begin|>",
        "<|tool_call_end|>",
        NamedJson(":0<|tool_call_argument_begin|>", before="functions."),
        ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    ),
    Calls(
        "deepseek-r1",
        ("<｜tool▁call▁begin｜>", "```json"),
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        NamedJson("\n```json\n", before="function<｜tool▁sep｜>", after="\n```"),
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    Calls(
        "deepseek",
        ("<｜tool▁call▁begin｜>",),
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        NamedJson("<｜tool▁sep｜>"),
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    Calls(
        "command-r7b",
        ("<|START_ACTION|>",),
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        JsonObjects("tool_name", "parameters", listed=True),
    ),
    Calls(
        "command-r",
        ("Action:", "tool_name"),
        "Action:",
        "",
        JsonObjects("tool_name", "parameters", listed=True),
    ),
    Calls(
        "apertus",
        ("<|tools_prefix|>",),
        "<|tools_prefix|>",
        "<|tools_suffix|>",
        Keyed(),
    ),
    Calls(
        "lfm2",
        ("<|tool_call_start|>",),
        "<|tool_call_start|>",
        "<|tool_call_end|>",
        PythonCalls(),
    ),
    Calls(
        "lfm2",
        ("List of tools: ",),
        "<|tool_call_start|>",
        "<|tool_call_end|>",
        PythonCalls(),
    ),
    Calls("nemotron", ("<TOOLCALL>",), "<TOOLCALL>", "</TOOLCALL>", JsonObjects(listed=True)),
    Calls(
        "tool_calls", ("<tool_calls>[",), "<tool_calls>", "</tool_calls>", JsonObjects(listed=True)
    ),
    Calls("minimax-m1", ("<tool_calls>",), "<tool_calls>\n", "\n</tool_calls>", JsonObjects()),
    Calls("granite", ("<|tool_call|>",), "<|tool_call|>", "", JsonObjects(listed=True)),
    Calls("functools", ("functools",), " functools", "", JsonObjects(listed=True)),
    Calls("function_call", ("<|function_call|>",), "<|function_call|>", "", JsonObjects()),
    Calls(
        "functionary",
        ("<function=", "</function>"),
        "<function=",
        "</function>",
        NamedJson(">"),
    ),
    HERMES,
    Calls(
        "llama3",
        ('"parameters"',),
        "<|python_tag|>",
        "",
        JsonObjects(arguments="parameters"),
    ),
)
"""Ways to write a call, those with more marks before those whose marks they share."""

HARMONY = Channels(
    begins=("<|start|>", "<|channel|>"),
    header_end="<|message|>",
    ends=("<|end|>", "<|return|>", "<|call|>"),
    thought=r"analysis",
    call=r"to=(?:functions\.)?(?P<name>[\w.\-]+)",
    answer="<|channel|>final<|message|>",
    call_begin="<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>",
    call_trigger="<|channel|>commentary to=functions.",
    call_end="<|call|>",
)
FUNCTIONARY = Channels(
    begins=(">>>",),
    header_end="\n",
    ends=(),
    thought=r"(?!)",
    call=r"^(?!all$)(?P<name>[\w.\-]+)$",
    answer="all\n",
    call_begin="NAME\n",
)

MUSE = Channels(
    begins=("<|start|>",),
    header_end="<|message|>",
    ends=("<|eom|>", "<|eot|>"),
    thought=r"to=self\b",
    call=r"to=(?!self\b|user\b)(?P<name>[\w.\-]+)",
    answer=" to=user<|message|>",
    call_begin=" to=NAME<|message|><atem:function_calls>\n",
    call_end="\n</atem:function_calls>",
    body=invokes("atem:"),
)

CHANNELS = (
    (("<atem:function_calls>", "<|message|>"), MUSE),
    (("<|channel|>", "<|message|>"), HARMONY),
    ((">>>all",), FUNCTIONARY),
)

AROUND = (
    ("<|open|>", "<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_TEXT|>", "<|END_TEXT|>"),
    ("<response>", "</response>"),
    ("<|content|>",),
)
"""What some models put around their answers."""

GIGACHAT = "function descriptions"
"""What GigaChat 3's template spells, whose calls are turns of their own and are not read."""

PLAIN = ChatFormat(thought=THOUGHTS[-1], calls=HERMES)
"""Of models whose template says nothing of thoughts and tools."""


def format_of(template: str | None, vocabulary: Collection[str] = ()) -> ChatFormat:
    """The format that a chat template and the special tokens of a vocabulary speak of.

    Args:
        template: the Jinja text, or None.
        vocabulary: spellings of control tokens and the like.
    """
    source = (template or "").replace("{}>", ">")  # Hunyuan's, which formats its tags
    for marks, channels in CHANNELS:
        if all(mark in source for mark in marks):
            return ChatFormat(channels=channels)
    spelled = set(vocabulary)

    def known(mark: str) -> bool:
        return mark in source or mark in spelled

    thoughts = (t for t in THOUGHTS if all(known(mark) for mark in t.marks or (t.end,)))
    calls = (c for c in CALLS if all(mark in source for mark in c.marks))
    return ChatFormat(
        thought=next(thoughts, PLAIN.thought),
        calls=next(calls, HERMES),
        tells_tools=GIGACHAT not in source or "<|function_call|>" in source,
        around=tuple(text for row in AROUND if known(row[0]) for text in row),
    )
