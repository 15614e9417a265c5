"""``python -m thinkgraph``."""

from thinkgraph.cli import main

main()
