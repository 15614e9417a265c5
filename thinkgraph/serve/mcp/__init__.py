"""The Model Context Protocol (MCP): strategies as tools for agents."""
