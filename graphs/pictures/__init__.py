"""Pictures: drawings of graphs, and the HTML report of a run."""
