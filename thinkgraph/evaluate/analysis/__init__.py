"""What a comparison shows: scores, statistics, and what can be said of them."""
