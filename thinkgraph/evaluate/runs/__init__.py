"""Runs of every strategy on every question, with shared samples and a persistent database."""
