"""A run that survives its process: with a checkpointer it resumes after its last finished node.

Start it, kill it at any moment (Ctrl-C, or kill -9), and start it again: finished nodes don't run
a second time. ``PostgresSaver`` of langgraph-checkpoint-postgres has the same interface as
``SqliteSaver``.
"""

from __future__ import annotations

import sys

from langgraph.checkpoint.sqlite import SqliteSaver

import thinkgraph as tg

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"


def main(path: str = "runs.sqlite", thread: str = "apples") -> None:
    """Start the run that is stored under the thread's name, or resume it.

    Args:
        path: the SQLite file of the checkpoints.
        thread: the name of the run.
    """
    config = {"configurable": {"thread_id": thread}}
    with SqliteSaver.from_conn_string(path) as saver:
        app = tg.load("self-refine").compile(saver, seed=1, rounds=2, max_tokens=96)
        stored = app.get_state(config)
        if stored.next:
            print("resuming before", ", ".join(stored.next), flush=True)
        elif stored.values:
            print("the run is finished; another thread name begins another")
            return
        question = None if stored.next else {"question": QUESTION}
        # Synchronous durability: a node starts once the checkpoint before it is on disk.
        for event in app.stream(question, config, stream_mode="custom", durability="sync"):
            if isinstance(event, tg.NodeStarted):
                print("running", event.node, flush=True)
        print("answer:", app.get_state(config).values["answer"]["value"])


if __name__ == "__main__":
    main(*sys.argv[1:])
