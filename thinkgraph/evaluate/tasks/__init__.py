"""Questions with their right answers: from files, datasets and generators."""
