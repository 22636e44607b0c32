"""What one text can be judged by: literal registries and pure functions, no database.

A prefilter is one RE2 expression that a scan asks of every text; only texts that pass it are read
again by the exact function beside it. A prefilter matches every text that the function finds
anything in, so nothing is lost.
"""
