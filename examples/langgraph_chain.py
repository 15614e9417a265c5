"""A strategy in a LangChain chain: prompt | strategy | parser.

A compiled strategy is a Runnable: its input and output are mappings of channels. The messages of
the prompt go into ``messages``; the answer is in ``answer``.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

import thinkgraph as tg

PROMPT = ChatPromptTemplate.from_messages(
    [("user", "{name} has {first} apples. {name} buys {more} more. How many apples are there now?")]
)


def build(samples: int = 4) -> Runnable[dict[str, Any], str]:
    """The chain: fill in the prompt, vote over several samples, and take the winner's text."""
    strategy = tg.load("self-consistency").compile(seed=1, samples=samples, max_tokens=64)
    answer = strategy | itemgetter("answer") | itemgetter("text") | StrOutputParser()
    return {"messages": PROMPT} | answer


def main() -> None:
    """Run the chain once, and then for two inputs side by side."""
    chain = build()
    print(chain.invoke({"name": "Tom", "first": 8, "more": 5}))
    people = [{"name": "Ann", "first": 2, "more": 3}, {"name": "Bob", "first": 4, "more": 1}]
    for text in chain.batch(people):
        print("-", text)


if __name__ == "__main__":
    main()
