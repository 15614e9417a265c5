"""Tuning: measures the speed of this machine, and finds the fastest settings of a model."""
