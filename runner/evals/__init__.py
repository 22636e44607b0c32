"""Evaluation: generate, score, compare and judge."""
