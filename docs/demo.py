"""Draw the picture of the README: what `make demo` shows, as an SVG.

python docs/demo.py docs/demo.svg
"""

import asyncio
import sys

from rich.console import Console

import thinkgraph as tg
from thinkgraph.graphs.result import Finished, Result
from thinkgraph.view import View, report

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"


async def show(console: Console) -> Result:
    """Run the demo with its live view on the console."""
    with View("self-consistency", console=console) as view:
        async for event in tg.load("self-consistency").stream(QUESTION, seed=1):
            if isinstance(event, Finished):
                return event.result
            view.show(event)
    raise RuntimeError("the run ended without a result")


def main() -> None:
    """Run the demo on a terminal that is recorded."""
    console = Console(record=True, force_terminal=True, width=100, highlight=False)
    console.print("$ make demo", style="bold")
    report(asyncio.run(show(console)), console)
    console.save_svg(sys.argv[1], title="self-consistency on SmolLM2-135M")


main()
