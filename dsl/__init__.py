"""The language: text to Recipe to Plan. Pure: no files, no clock, no torch."""
