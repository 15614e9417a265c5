"""The formats in which models write: how thoughts are delimited, and how tools are called.

This is data. A model's format is recognised by texts in its chat template and its vocabulary: of
each table, the first row whose marks occur. Sources: the templates themselves, as published with
the models, and llama.cpp's and vLLM's parsers where a template shows only half.
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
    """The delimiters of a thought."""

    begin: str
    end: str
    marks: tuple[str, ...] = ()
    """Texts of the template or vocabulary by which it is recognised; empty means ``end``."""
    opened: str = ""
    """Text that opens a thought in a prompt: ``begin`` and its line break; empty is ``begin``."""
    closed: str = ""
    """Text that ends a thought by force and begins the answer; empty means ``end``."""


@dataclass(frozen=True)
class Calls:
    """The delimiters of tool calls, and how calls are written."""

    name: str
    marks: tuple[str, ...]
    """Texts by which a template is recognised; all must occur."""
    begin: str
    """What the model writes before a call, line breaks included."""
    end: str
    """What the model writes after a call; empty if the turn's end or the next call ends it."""
    body: Body
    around: tuple[str, ...] = ()
    """Delimiters around several calls, which are dropped."""


@dataclass(frozen=True)
class Channels:
    """A turn of several messages, each with a header that says what it is (gpt-oss, functionary).

    A header is matched against the patterns ``thought`` and ``call`` (with the group ``name``); any
    other header is the answer's.
    """

    begins: tuple[str, ...]
    """Texts that begin a header."""
    header_end: str
    ends: tuple[str, ...]
    """Texts that end a message, besides the next header."""
    thought: str
    call: str
    answer: str
    """The header of the answer, as it follows the generation prompt."""
    call_begin: str = ""
    """The header of a call, with ``NAME`` for the tool's name."""
    call_trigger: str = ""
    """The beginning of ``call_begin`` that no other message has; empty means all of it."""
    call_end: str = ""
    """Text that ends a call."""
    body: Tags | None = None
    """How a call's message is written; None means its arguments as JSON."""


@dataclass(frozen=True)
class ChatFormat:
    """The format of one model: its thoughts, its calls, and other texts around its answer."""

    thought: Thought | None = None
    calls: Calls | None = None
    channels: Channels | None = None
    around: tuple[str, ...] = ()
    """Texts around the answer, which are dropped."""
    tells_tools: bool = True
    """Whether the model's own calls can be parsed; if not, tools are described in words."""
    literals: tuple[str, ...] = field(init=False)
    """All texts that the parser looks for; control tokens in them must be kept in the output."""

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
"""Delimiters of thoughts; the last pair is also used for a model that shows none of them."""


def tags(begin: str, end: str) -> Written:
    """The syntax of arguments between tags that don't depend on their type."""
    return Written(begin=begin, end=end, text_begin=begin, text_end=end)


PARAMETERS = Tags(
    name=r"<function=(?P<name>[^>\n]+)>",
    argument=r"<parameter=(?P<key>[^>\n]+)>(?P<value>.*?)</parameter>",
    head="<function=NAME>\n",
    tail="</function>",
    written=tags("<parameter=KEY>\n", "\n</parameter>\n"),
)


# Kimi K3 writes a value's type; which type doesn't change how the value is read.
KIMI_ARGUMENTS = Written(
    begin='<|open|>argument key="KEY" type="number"<|sep|>',
    end="<|close|>argument<|sep|>",
    text_begin='<|open|>argument key="KEY" type="string"<|sep|>',
    text_end="<|close|>argument<|sep|>",
)


def invokes(prefix: str, types: bool = False) -> Tags:
    """Tags ``invoke`` and ``parameter`` with a prefix; ``types`` marks which values are strings."""
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
    """Tags ``arg_key`` and ``arg_value``, with a mark appended to their names."""
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
"""Formats of calls; a format stands before those that have only some of its marks."""

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
"""Texts that some models put around answers; a row applies if its first text occurs."""

GIGACHAT = "function descriptions"
"""Text in GigaChat 3's template, whose calls are turns of their own and are not parsed."""

PLAIN = ChatFormat(thought=THOUGHTS[-1], calls=HERMES)
"""The format of models whose template mentions neither thoughts nor tools."""


def format_of(template: str | None, vocabulary: Collection[str] = ()) -> ChatFormat:
    """Recognise the format of a model by its chat template and its special tokens.

    Args:
        template: the Jinja text, or None.
        vocabulary: spellings of control tokens and the like.
    """
    source = (template or "").replace("{}>", ">")  # Hunyuan's template formats its tags
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
