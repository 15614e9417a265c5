"""The Model Context Protocol: strategies as tools of agents."""
