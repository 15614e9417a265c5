"""Strategies as models of evaluation harnesses: Inspect AI and lm-evaluation-harness."""
