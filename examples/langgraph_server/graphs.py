"""Strategies behind a LangGraph server, for LangGraph Studio and any client of its API.

    pip install "thinkgraph[smollm2]" "langgraph-cli[inmem]"
    langgraph dev --config examples/langgraph_server/langgraph.json

Each is an assistant with threads: a run's input is ``{"messages": […]}`` or ``{"question": …}``,
its context ``{"seed": …, "model": …, "budget": {"tokens": …}}``. The server has a checkpointer.
"""

import thinkgraph as tg

vote = tg.load("self-consistency").compile(seed=1, samples=4, max_tokens=96)
refine = tg.load("self-refine").compile(seed=1, rounds=1, max_tokens=96)
