"""The data engine: files → rows → checks → parts, on one DuckDB connection.

prepare.py shows the pipeline; files.py reads the kinds of file, formats.py the shapes of a row,
split.py chooses the parts, checks.py judges them.
"""
