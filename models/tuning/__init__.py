"""Measures how fast this machine runs a model, and finds the settings that run it fastest."""
