"""How often a small model's tool calls are valid, with and without constrained decoding.

    python benchmarks/tool_calls.py MODEL.gguf [--tasks 40] [--temperature 0] [--out FILE.json]

Each task takes three steps of LangChain's ``create_agent``: two prices are looked up and then
combined. A call is valid if it names a tool and its arguments match the tool's JSON schema.
Malformed calls count as invalid, and so does a text that spells out a call. A task is solved if the
answer contains the right number and a calculation returned it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import jsonschema
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool

from thinkgraph.models.chat import ChatGGUF

PRICES = {"apple": 3, "melon": 17, "bread": 8, "cheese": 25, "lamp": 46, "chair": 89, "book": 14}
OPERATIONS = {"add": "sum", "subtract": "difference", "multiply": "product"}
Item = Literal["apple", "melon", "bread", "cheese", "lamp", "chair", "book"]
SPELLED = re.compile(r"<tool_call>|\{\s*\"(?:name|function)\"\s*:")
SYSTEM = "Use the tools. Look up every price before you calculate; never guess a number."
STEPS = 20  # LangGraph's recursion limit, two steps per model call


@tool
def price(item: Item) -> int:
    """Look up the price of an item."""
    return PRICES[item]


@tool
def calculate(operation: Literal["add", "subtract", "multiply"], left: int, right: int) -> int:
    """Calculate with two integers."""
    if operation == "add":
        return left + right
    return left - right if operation == "subtract" else left * right


TOOLS = {each.name: each for each in (price, calculate)}


class Free(ChatGGUF):
    """The model with unconstrained tool calls."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return super().bind_tools(tools, **{**kwargs, "constrained": False})


def tasks(count: int) -> list[tuple[str, int]]:
    """A number of questions, with their right answers."""
    pairs = itertools.product(OPERATIONS.items(), itertools.combinations(PRICES, 2))
    made = []
    for (operation, word), (one, other) in pairs:
        # The more expensive item first, so that differences are positive.
        first, second = sorted((one, other), key=lambda item: -PRICES[item])
        asked = (
            f"Look up the price of the {first} and the price of the {second}. "
            f"Then calculate their {word}. What is it?"
        )
        arguments = {"operation": operation, "left": PRICES[first], "right": PRICES[second]}
        made.append((asked, calculate.invoke(arguments)))
    return made[:: max(1, len(made) // count)][:count]


def valid(call: dict[str, Any]) -> bool:
    """Whether a call names a tool and its arguments match the tool's schema."""
    known = TOOLS.get(call["name"])
    if known is None:
        return False
    schema = known.tool_call_schema.model_json_schema()
    return jsonschema.Draft202012Validator(schema).is_valid(call["args"])


def judged(messages: list[BaseMessage], right: int) -> Counter[str]:
    """Counts of one task: calls, valid calls, tokens, and whether it was solved."""
    found: Counter[str] = Counter(tasks=1)
    said = [message for message in messages if isinstance(message, AIMessage)]
    for message in said:
        found["valid"] += sum(valid(call) for call in message.tool_calls)
        found["calls"] += len(message.tool_calls) + len(message.invalid_tool_calls)
        spelled = not message.tool_calls and SPELLED.search(message.text)
        found["calls"] += bool(spelled and not message.invalid_tool_calls)
        found["tokens"] += (message.usage_metadata or {}).get("output_tokens", 0)
    results = {str(m.content) for m in messages if m.type == "tool" and m.name == "calculate"}
    answered = str(right) in re.findall(r"-?\d+", said[-1].text.replace(",", "")) if said else False
    found["solved"] += answered and str(right) in results
    return found


async def run(chat: ChatGGUF, asked: list[tuple[str, int]], at_once: int) -> Counter[str]:
    """Run all tasks, ``at_once`` at a time, and sum their counts."""
    agent = create_agent(chat, [price, calculate], system_prompt=SYSTEM)
    free = asyncio.Semaphore(at_once)

    async def one(question: str, right: int) -> Counter[str]:
        messages: list[BaseMessage] = []
        async with free:
            try:
                config = {"recursion_limit": STEPS}
                values = {"messages": [("user", question)]}
                async for state in agent.astream(values, config, stream_mode="values"):
                    messages = state["messages"]
            except Exception as error:  # a tool that refuses its arguments, or too many steps
                return judged(messages, right) + Counter({type(error).__name__: 1})
        return judged(messages, right)

    return sum(await asyncio.gather(*(one(*task) for task in asked)), Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    asked, found = tasks(args.tasks), {}
    for name, kind in (("constrained", ChatGGUF), ("free", Free)):
        chat = kind(
            model=args.model,
            engine={"context": 2048, "sequences": args.at_once},
            temperature=args.temperature,
            max_tokens=128,
            seed=1,
        )
        began = time.perf_counter()
        total = asyncio.run(run(chat, asked, args.at_once))
        found[name] = {**total, "seconds": round(time.perf_counter() - began)}
        share = total["valid"] / max(total["calls"], 1)
        print(f"{name}: {total['valid']} of {total['calls']} calls valid ({share:.0%}),")
        print(f"  {total['solved']} of {total['tasks']} tasks solved; {found[name]}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
