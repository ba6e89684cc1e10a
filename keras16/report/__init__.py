"""Results to words, tables and figures: pure functions that print nothing."""
