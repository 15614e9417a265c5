"""A strategy as a subagent of deepagents.

A deep agent hands a task on in ``messages`` and reads the reply from there, where a compiled
strategy puts its answer, so nothing is needed between the two. The main agent may be any chat
model that calls tools; the strategy has a model of its own.

    pip install deepagents langchain-openai
    python examples/deepagents_subagent.py openai:gpt-5.5
"""

from __future__ import annotations

import sys
from typing import Any

from deepagents import CompiledSubAgent, create_deep_agent
from langchain_core.language_models import BaseChatModel
from langgraph.graph.state import CompiledStateGraph

import thinkgraph as tg

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"


def build(agent: str | BaseChatModel, samples: int = 8) -> CompiledStateGraph[Any, Any]:
    """A deep agent that leaves word problems to a vote over several samples."""
    vote = tg.load("self-consistency").compile(seed=1, samples=samples, max_tokens=96)
    solver = CompiledSubAgent(
        name="word-problems",
        description="Solves a word problem. Give it the whole problem, word for word.",
        runnable=vote,
    )
    return create_deep_agent(agent, subagents=[solver])


def main(agent: str) -> None:
    """Ask the agent."""
    messages = build(agent).invoke({"messages": [("user", QUESTION)]})["messages"]
    for message in messages:
        message.pretty_print()


if __name__ == "__main__":
    main(*sys.argv[1:])
