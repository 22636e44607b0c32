"""Carries a Plan out; everything that touches the world."""
