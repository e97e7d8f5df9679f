"""Acoustic units: one label per frame, from features clustered by k-means."""
