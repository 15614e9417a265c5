"""The plan: what a run would cost, estimated before it runs."""
