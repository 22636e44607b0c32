"""The report of a run: collected from its directory, then shown as HTML or in a terminal."""
