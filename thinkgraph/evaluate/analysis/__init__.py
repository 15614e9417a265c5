"""Analysis of a comparison: scores, statistics, and conclusions."""
