"""Metrics, which score an answer against its reference."""
