"""Batched, prefix-shared sampling of one GGUF model inside the process."""
