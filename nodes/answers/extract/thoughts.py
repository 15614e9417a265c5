"""Think blocks in a text: the reasoning before an answer, in the formats that models use."""

import re

_TAG = re.compile(
    r"<(?P<end>/?)(?:(?:seed:)?think(?:ing)?|thought|reasoning|scratchpad)>"
    r"|\[(?P<end2>/?)THINK\]"
    r"|◁(?P<end3>/?)think▷"
    r"|<\|(?:begin|(?P<end4>end))_of_thought\|>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*final\s*(?:<\|constrain\|>\w+\s*)?<\|message\|>|(?<=[.!?\s])assistantfinal(?=\S)"
)
_HARMONY = re.compile(r"\A\s*(?:analysis(?=[A-Z\d])|<\|channel\|>)")
_CONTROL = re.compile(r"<\|(?:end|return|call|start|begin_of_solution|end_of_solution)\|>")


def without_thinking(text: str) -> str:
    """Remove the think blocks from a text; a block that isn't closed reaches to the end.

    A closing tag without an opening one ends a block that began with the text, since a chat
    template may have put the opening tag into the prompt. In the channels of gpt-oss only the last
    `final` message counts; `analysis…assistantfinal…` is such a text without its control tokens.
    """
    if _HARMONY.match(text):
        finals = list(_CHANNEL.finditer(text))
        text = text[finals[-1].end() :] if finals else ""
    kept: list[str] = []
    depth, start = 0, 0
    for tag in _TAG.finditer(text):
        if any(tag.groupdict().values()):
            kept = kept if depth else []
            depth, start = max(depth - 1, 0), tag.end()
        else:
            if depth == 0:
                kept.append(text[start : tag.start()])
            depth += 1
    return _CONTROL.sub("", "".join([*kept, "" if depth else text[start:]]))
