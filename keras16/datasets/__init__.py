"""Data sets: one file each, with `load() -> Dataset`; the name is the CLI value."""
