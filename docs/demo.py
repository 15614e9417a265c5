"""Draw the picture of the README: what `make demo` shows, as an SVG.

python docs/demo.py docs/demo.svg
"""

import asyncio
import io
import sys

from rich.console import Console

import thinkgraph as tg
from thinkgraph.graphs.runtime.result import Finished, Result
from thinkgraph.view import View, report

WIDTH = 100
QUESTION = "Ben has 4 bags with 6 marbles in each bag. How many marbles does Ben have in all?"


async def run(view: View) -> Result:
    """Run the demo, telling the view."""
    async for event in tg.load("self-consistency").stream(QUESTION, seed=1):
        if isinstance(event, Finished):
            return event.result
        view.show(event)
    raise RuntimeError("the run ended without a result")


def main() -> None:
    """Run the demo, and record what its screen shows at the end."""
    view = View("self-consistency", shown=False)
    result = asyncio.run(run(view))
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH)
    console.print("$ make demo", style="bold")
    console.print(view.candidates())
    report(result, console)
    console.save_svg(sys.argv[1], title="self-consistency on SmolLM2-135M")


if __name__ == "__main__":
    main()
