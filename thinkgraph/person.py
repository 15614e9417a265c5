"""Questions to a person at the command line: shows what a run waits for, and reads the reply.

The question goes to standard error, and the reply is a line of standard input, so that scripts can
answer too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import say

HOW = """\
  NUMBER          choose that answer
  NUMBER: TEXT    choose it, and write it anew
  TEXT            a remark, for another revision
  y or n          accept or reject all"""


def reply_to(request: Any) -> Any:
    """Show what a node waits for, and read a person's reply.

    A ``review`` shows its candidates. A request with ``approve`` takes yes or no, a remark, which
    refuses, or ``{"arguments": {...}}``. Any other is shown as JSON, and takes JSON or a text.

    Raises:
        ThinkgraphError: standard input has ended.
    """
    if isinstance(request, Mapping) and "review" in request:
        _show_review(request)
        return _asked("your choice", _review, f"one of\n{HOW}")
    if isinstance(request, Mapping) and "approve" in request:
        say(_printable(json.dumps(dict(request), indent=2, ensure_ascii=False, default=str)))
        return _asked("y, n, a remark or JSON", _approval, "y, n, a remark or JSON")
    say(_printable(f"the run waits for: {json.dumps(request, ensure_ascii=False, default=str)}"))
    return _asked("reply", _value, "JSON or a text")


def _asked(prompt: str, read: Callable[[str], Any], forms: str) -> Any:
    """Prompt until a line of standard input has one of the expected forms, and return its value."""
    while True:
        print(f"{prompt}> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise ThinkgraphError(
                "the run waits for a person, and standard input has ended; answer in a terminal, "
                "or give a line for each question on standard input"
            )
        reply = read(line.strip())
        if reply is not None:
            return reply
        say(f"not understood: answer with {forms}")


def _show_review(request: Mapping[str, Any]) -> None:
    lines = [f"-- {request['review']}: {request.get('ask') or request.get('question', '')}"]
    for number, candidate in enumerate(request["candidates"], 1):
        score = "" if candidate["score"] is None else f"  score {candidate['score']:.3g}"
        lines.append(
            f"\n{number}  {candidate['id']}  [{candidate['answer'] or 'no answer'}]{score}"
        )
        lines += [f"   {line}" for line in candidate["text"].strip().splitlines()]
        for critique in candidate["critiques"]:
            verdict = "accepted" if critique["accepted"] else "not accepted"
            lines.append(f"   ({verdict}) {' '.join(critique['text'].split())}")
    if request.get("error"):
        lines.append(f"\n{request['error']}")
    say(_printable("\n".join([*lines, "", HOW])))


def _review(line: str) -> Any:
    number, colon, text = line.partition(":")
    if colon and number.strip().isdecimal() and text.strip():
        return {"choose": int(number), "edit": text.strip()}
    if line.lower() in ("y", "yes", "n", "no"):
        return line.lower().startswith("y")
    if line.isdecimal():
        return int(line)
    return {"remark": line} if line else None


def _approval(line: str) -> Any:
    reply = _value(line)
    words = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
    return reply if isinstance(reply, dict) else words.get(line.lower(), line or None)


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line or None


def _printable(text: str) -> str:
    """A text without control characters, except for newlines and tabs."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
