"""What one does with keras16: one file per command, each holding `command`."""
