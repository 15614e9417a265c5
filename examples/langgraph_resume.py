"""A run that outlives its process: with a checkpointer it goes on from its last finished node.

Run it, end it at any moment (Ctrl-C, or kill -9), and run it again: finished nodes are not run
a second time. ``PostgresSaver`` of langgraph-checkpoint-postgres takes the place of
``SqliteSaver`` by the same interface.
"""

from __future__ import annotations

import sys

from langgraph.checkpoint.sqlite import SqliteSaver

import thinkgraph as tg
from thinkgraph.nodes.event import NodeStarted

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"


def main(path: str = "runs.sqlite", thread: str = "apples") -> None:
    """Begin the run that is stored under the thread's name, or go on with it.

    Args:
        path: the SQLite file of the checkpoints.
        thread: the name of the run.
    """
    config = {"configurable": {"thread_id": thread}}
    with SqliteSaver.from_conn_string(path) as saver:
        app = tg.load("self-refine").compile(saver, seed=1, rounds=2, max_tokens=96)
        stored = app.get_state(config)
        if stored.next:
            print("going on before", ", ".join(stored.next), flush=True)
        elif stored.values:
            print("the run is finished; another thread name begins another")
            return
        question = None if stored.next else {"question": QUESTION}
        # Synchronous durability: a node begins when what it builds on is on the disk.
        for event in app.stream(question, config, stream_mode="custom", durability="sync"):
            if isinstance(event, NodeStarted):
                print("running", event.node, flush=True)
        print("answer:", app.get_state(config).values["answer"]["value"])


if __name__ == "__main__":
    main(*sys.argv[1:])
