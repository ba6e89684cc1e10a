"""Studies as data: one question a file, each with its `STUDY`."""
