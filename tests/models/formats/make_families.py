"""Writes families.json: what transformers makes of published chat templates, and what models write.

    python tests/models/formats/make_families.py FOLDER

FOLDER holds templates as ``NAME.jinja``; llama.cpp collects them in ``models/templates``, which is
part of llama-cpp-python's source distribution (``fetch`` below unpacks it). The templates belong to
their models' makers and are not copied: the file keeps digests of the prompts that transformers
renders, and how each family writes one thought, one call and one answer. Needs transformers.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path

SDIST = "llama-cpp-python==0.3.36"
INSIDE = "/vendor/llama.cpp/models/templates/"
NOW = "2026-01-31"
QUESTION, ANSWER, THOUGHT = "Will it rain in Paris?", "It will rain.", "The tool knows that."
CALL = {"name": "weather", "arguments": {"city": "Paris", "days": 2}}
ID = "abc123def"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Get the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "A city."},
                "days": {"type": "integer", "description": "How many."},
            },
            "required": ["city"],
        },
    },
}
USER = {"role": "user", "content": QUESTION}
CLOSED = {
    "<think>": "\n</think>\n\n",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "Here are my reasoning steps:": "\n[BEGIN FINAL RESPONSE]\n",
}
"""How a thought is closed that a prompt has opened."""
ENDS = ("<|eom_id|>", "<|tool_response>", "<|END_OF_TURN_TOKEN|>", "[e~[")
"""What ends a turn that calls, besides what ends an answer."""
FORMS = [("", False), (None, False), (None, True), ("", True)]
"""How a message that only calls is written: its content, and whether arguments are JSON text."""


def fetch(folder: Path) -> Path:
    """Unpack the templates of llama-cpp-python's source distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "-d", str(folder), SDIST], check=True)
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
        for member in archive:
            if INSIDE in member.name and member.name.endswith(".jinja"):
                data = archive.extractfile(member).read()
                (folder / Path(member.name).name).write_bytes(data)
    return folder


def called(content, as_text, reasoning):
    arguments = json.dumps(CALL["arguments"]) if as_text else CALL["arguments"]
    function = {"name": CALL["name"], "arguments": arguments}
    message = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = THOUGHT
    message["tool_calls"] = [{"type": "function", "id": ID, "function": function}]
    return message


def answered(**fields):
    return {"role": "assistant", "content": ANSWER, **fields}


def result():
    return {"role": "tool", "content": "Rain.", "tool_call_id": ID, "name": CALL["name"]}


class Family:
    def __init__(self, source):
        self.source = source

    def render(self, messages, *, tools=False, prompt=True, on=False, **variables):
        from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415

        rendered, _ = render_jinja_template(
            [messages],
            tools=[TOOL] if tools else None,
            chat_template=self.source,
            add_generation_prompt=prompt and not on,
            continue_final_message=on,
            bos_token="<s>",
            eos_token="</s>",
            **variables,
        )
        return rendered[0]

    def first(self, messages, **how):
        """With the first form of calls that the template takes."""
        for content, as_text in FORMS:
            try:
                return self.render(messages(content, as_text), **how)
            except Exception as error:
                failure = error
        raise failure

    def continued(self):
        """Where transformers goes on from an answer; behind a closed thought where one is open."""
        said = {"role": "assistant", "content": "Verdict:"}
        off = {n: False for n in ("enable_thinking", "thinking") if n in self.source}
        before = self.render([USER], **off)
        for begin, closed in CLOSED.items():
            if before.rstrip().endswith(begin):
                return before + closed + "Verdict:"
        text = self.render([USER, said], on=True, **off)
        return text if text.startswith(before) else before + "Verdict:"

    def written(self, message, *, tools):
        """What the model writes for a message, and whether its prompt had opened a thought."""
        prompt = self.render([USER], tools=tools).rpartition(QUESTION)[2]

        def tail(m):
            whole = self.first(lambda *form: [USER, m(*form)], tools=tools, prompt=False)
            return whole.rpartition(QUESTION)[2]

        text = tail(message)
        ended = tail(lambda *_: {"role": "assistant", "content": ANSWER}).rpartition(ANSWER)[2]
        shared = os.path.commonprefix([prompt, text])  # noqa: RUF071 - of texts
        opened = shared == prompt
        if not opened:
            shared = re.sub(r"<[^<>]*$", "", shared)
        text = text[len(shared) :]
        for end in (*re.findall(r"<[^<>]+>|\[/?[A-Z_]+\]", ended)[-1:], *ENDS):
            text = text.partition(end)[0]
        return text.removesuffix("\n").removesuffix("<|end|>"), opened


def format_names(source):
    from thinkgraph.models.formats.template import ChatTemplate  # noqa: PLC0415

    template = ChatTemplate(source)
    form = template.format
    return {
        "knows_tools": template.knows_tools,
        "thought": form.thought and form.thought.begin,
        "calls": form.calls and form.calls.name,
        "channels": form.channels and form.channels.answer,
        "around": list(form.around),
    }


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def told(family):
    cases = {
        "plain": lambda: family.render([{"role": "system", "content": "Be brief."}, USER]),
        "tools": lambda: family.render([USER], tools=True),
        "results": lambda: family.first(
            lambda *form: [USER, called(*form, reasoning=True), result()], tools=True
        ),
        "continued": family.continued,
    }
    rendered = {}
    for name, render in cases.items():
        try:
            rendered[name] = digest(render())
        except Exception as error:
            print("  ", name, " ".join(str(error).split())[:80])
    writes = {}
    for name, message, tools in (
        ("call", lambda *form: called(*form, reasoning=False), True),
        ("thought and call", lambda *form: called(*form, reasoning=True), True),
        ("thought and answer", lambda *_: answered(reasoning_content=THOUGHT), False),
        ("answer", lambda *_: answered(), False),
    ):
        try:
            writes[name] = family.written(message, tools=tools)
        except Exception as error:
            print("  ", name, " ".join(str(error).split())[:80])
    return {"rendered": rendered, "format": format_names(family.source), "writes": writes}


class Pinned(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(NOW)


def main():
    import transformers.utils.chat_template_utils as theirs  # noqa: PLC0415

    theirs.datetime = Pinned
    folder = Path(sys.argv[1])
    if not list(folder.glob("*.jinja")):
        fetch(folder)
    families = {}
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text("utf-8")
        print(path.stem)
        families[path.stem] = {"template": digest(source), **told(Family(source))}
    file = Path(__file__).with_name("families.json")
    file.write_text(json.dumps(families, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
