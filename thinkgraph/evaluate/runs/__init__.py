"""Every strategy on every question: one engine, shared samples, a database that outlives it."""
