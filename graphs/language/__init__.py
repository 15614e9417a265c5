"""The graph language: what one may write, its text, its conditions and its JSON Schema."""
