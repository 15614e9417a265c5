"""Short answers for thinkgraph."""
