"""Models: the llama.cpp engine, endpoints, the LangChain chat model, and the catalogue."""
