"""The contracts between all parts, as JSON Schemas (draft 2020-12)."""
