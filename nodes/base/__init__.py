"""What every node kind is built on: the base classes, settings, params and cost estimates."""
