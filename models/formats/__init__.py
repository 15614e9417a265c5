"""Chat formats: how a model's prompt is written, and how what it writes is read."""
