"""Output of a comparison: tables, plots, an HTML page, and files for other tools."""
