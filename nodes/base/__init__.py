"""The base of every node kind: base classes, settings, params and cost estimates."""
