"""Planning: upper bounds of a run's cost, before it runs."""
