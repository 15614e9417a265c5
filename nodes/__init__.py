"""What a node does: one file a kind, the population it works on, prompts and answers."""
