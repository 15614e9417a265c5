"""The page at `/`, on which to watch a run."""
