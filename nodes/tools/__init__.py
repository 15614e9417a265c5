"""Tools that a node may call besides a model."""
