"""The data engine: files → rows → checks → parts, on one DuckDB connection.

prepare.py shows the pipeline; files.py reads kinds of file, formats.py shapes of a row and load.py
brings them together; split.py chooses the parts, checks.py judges them.
"""
