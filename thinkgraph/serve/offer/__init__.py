"""What a server offers: models and strategies, by the names that requests use."""
