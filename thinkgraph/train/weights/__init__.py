"""Weights: reading a base from a GGUF, converting adapters, and merging both."""
