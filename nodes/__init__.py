"""Nodes: the node kinds, the population they work on, prompts, answers and tools."""
