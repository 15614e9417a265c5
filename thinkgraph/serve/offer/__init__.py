"""The models and strategies that a server offers, by the names that requests use."""
