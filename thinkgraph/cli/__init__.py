"""The command line: one module per command or two, and the application in ``app``."""

from thinkgraph.cli.app import main

__all__ = ["main"]
