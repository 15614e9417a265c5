"""What a comparison looks like: a table, plots, a page, files for other tools."""
