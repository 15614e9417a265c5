"""The page at `/`, which shows strategies as they run: its routes, runs and history."""
