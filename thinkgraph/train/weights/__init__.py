"""Weights: a base read from a GGUF, adapters to GGUF and back, and both merged."""
