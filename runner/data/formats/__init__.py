"""Shapes of a row: which format the rows of a file make, and canonical rows out of raw ones.

detect.py looks at the first rows; shapes.py writes the SQL that reads every row.
"""

from runner.data.formats.cells import CANONICAL_COLUMNS, EMPTY, NOT_JSON
from runner.data.formats.detect import Detected, Misfit, detect, no_column
from runner.data.formats.shapes import canonical
from runner.data.formats.texts import blank_sql, normalised, with_normalised

__all__ = [
    "CANONICAL_COLUMNS",
    "EMPTY",
    "NOT_JSON",
    "Detected",
    "Misfit",
    "blank_sql",
    "canonical",
    "detect",
    "no_column",
    "normalised",
    "with_normalised",
]
