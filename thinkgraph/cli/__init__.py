"""The command line: a file for each command or two, and the program in ``app``."""

from thinkgraph.cli.app import main

__all__ = ["main"]
