"""The models that nodes can ask: a local GGUF file, an endpoint, a LangChain model, a script."""
