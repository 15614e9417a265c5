"""Fitting a strategy's params and prompts to a model and a user's questions."""
