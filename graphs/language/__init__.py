"""The graph language: specs, their YAML, their conditions and their JSON Schema."""
