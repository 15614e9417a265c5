"""The checker: static analysis and type checks of a spec, before a model is loaded."""
