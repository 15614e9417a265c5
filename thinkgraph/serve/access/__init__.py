"""Access to the server: API keys, quotas and admission."""
