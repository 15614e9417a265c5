"""The page at `/`, on which to watch a strategy think: its routes, its runs and its history."""
