"""Evaluation: comparisons of strategies on questions with known answers."""
