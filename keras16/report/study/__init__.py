"""The report of a study: words, tables and figures, in four formats."""
