"""The server: strategies and models behind OpenAI's API, MCP and a page."""
