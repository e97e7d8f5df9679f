"""Scores of several models side by side, next to published ones."""
