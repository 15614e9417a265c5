"""A strategy as a tool of an agent.

``as_tool`` makes a LangChain tool for any agent. Its arguments are the question and the params
that the agent may set (none here). The embedded model has no format for tool calls, so this agent
constrains its completion to the JSON schema of the tool.
"""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

import thinkgraph as tg

ORDERS = "Pass the user's question on, word for word, as JSON with the key question."


def build(model: str = "smollm2", samples: int = 8) -> CompiledStateGraph[Any, Any]:
    """An agent that calls its only tool and returns the result."""
    tool = tg.load("self-consistency").as_tool(
        name="think_hard",
        description="Answers a word problem by a vote over several tries.",
        model=model,
        seed=1,
        samples=samples,
        max_tokens=96,
    )
    graph = StateGraph(MessagesState)
    graph.add_node("plan", planner(tg.ChatGGUF(model=model, temperature=0, seed=1), tool))
    graph.add_node("tools", ToolNode([tool]))
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "tools")
    return graph.compile()


def planner(model: tg.ChatGGUF, tool: BaseTool) -> Any:
    """A node that calls the tool with arguments written by the model."""
    schema = tool.get_input_jsonschema()

    def plan(state: MessagesState) -> dict[str, list[AIMessage]]:
        asked = [SystemMessage(ORDERS), *state["messages"]]
        arguments = json.loads(model.invoke(asked, json_schema=schema, max_tokens=128).text)
        call = {"name": tool.name, "args": arguments, "id": "call-1", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    return plan


def main() -> None:
    """Ask the agent."""
    question = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"
    *_, call, told = build().invoke({"messages": [HumanMessage(question)]})["messages"]
    print("asked:   ", call.tool_calls[0]["args"]["question"])
    print("answered:", told.text)
    print("votes:   ", told.artifact.votes)


if __name__ == "__main__":
    main()
