"""A strategy as a subgraph of your own LangGraph graph.

A compiled strategy is an ordinary compiled graph. It shares the channels ``question`` and
``answer`` with its parent graph; its candidates stay private.
"""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

import thinkgraph as tg


class Ticket(TypedDict, total=False):
    """The state of the app."""

    customer: str
    question: str
    answer: dict[str, Any]
    reply: str


def write_reply(ticket: Ticket) -> Ticket:
    """A node of the app's own, after the strategy."""
    answer = ticket["answer"]
    return {
        "reply": f"Dear {ticket['customer']}, it is {answer['value']}. "
        f"({answer['votes']} of {answer['of']} tries agree.)"
    }


def build(samples: int = 8) -> CompiledStateGraph[Any, Any]:
    """The app: a vote over several samples, then a reply."""
    vote = tg.load("self-consistency").compile(seed=1, samples=samples, max_tokens=96)
    graph = StateGraph(Ticket)
    graph.add_node("solve", vote)
    graph.add_node("write_reply", write_reply)
    graph.add_edge(START, "solve")
    graph.add_edge("solve", "write_reply")
    graph.add_edge("write_reply", END)
    return graph.compile()


def main() -> None:
    """Answer one ticket."""
    question = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"
    ticket = build().invoke({"customer": "Tom", "question": question})
    print(ticket["reply"])


if __name__ == "__main__":
    main()
