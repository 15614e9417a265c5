"""What a node may call besides a model."""
