"""The graph language: the spec's models, its YAML parser, conditions and JSON Schema."""
