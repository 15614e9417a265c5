"""The runtime: compiles a spec to LangGraph, runs it, and returns a result."""
