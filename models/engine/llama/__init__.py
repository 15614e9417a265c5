"""llama.cpp: the library, a model and its context, its vocabulary, and the GGUF header."""
