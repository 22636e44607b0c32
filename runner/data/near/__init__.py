"""Near duplicates: rows whose prompts and completions are both nearly the same text.

find.py is the whole way from rows in DuckDB to verified pairs: sketch.py makes small sketches of
words.py's words, candidates.py finds the pairs worth a look by likeness.py, verify.py looks at
their texts. ngrams.py finds the runs of words that held-out rows share with training rows.
"""
