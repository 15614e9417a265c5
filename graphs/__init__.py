"""What a graph is: the language, its checker, and what compiles, runs and draws it."""
