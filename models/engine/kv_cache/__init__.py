"""The KV cache: its cells, and the prefix cache, a radix tree over token prefixes."""
