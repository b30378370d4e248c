"""Rushlight: a small, quick torch."""
