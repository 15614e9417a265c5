"""Replies: what a model or a strategy answers, whichever API asked."""
