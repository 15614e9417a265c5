"""What thinks: the catalogue of models, the llama.cpp engine, and the chat model on it."""
