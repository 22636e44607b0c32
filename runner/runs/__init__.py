"""The run directory: its files, its events, its processes."""
