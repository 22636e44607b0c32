"""Runnable examples; each recipe's data lies in the folder of its name."""
