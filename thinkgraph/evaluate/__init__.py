"""Whether a strategy helps: questions with known answers, and statistics that hold."""
