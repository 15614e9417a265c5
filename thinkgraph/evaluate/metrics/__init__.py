"""Metrics: how an answer is scored against its reference."""
