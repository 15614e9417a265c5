"""What is right, and what can be said of it: metrics, statistics, sentences."""
