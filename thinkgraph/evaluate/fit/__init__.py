"""Fitting a strategy's params and prompts to a model and questions of one's own."""
