"""Planning: bounds on the cost of a run, computed before it runs."""
