"""Sampling: from a row of logits to the next token, its log-probability and confidence."""
