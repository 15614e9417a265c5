"""Chat formats: rendering prompts, and parsing what models write."""
