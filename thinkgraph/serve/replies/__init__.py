"""Replies of models and strategies, independent of the API."""
