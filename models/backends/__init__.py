"""Model backends: a local GGUF file, an endpoint, a LangChain model, a script."""
