"""Acoustic units: features of frames, clustered by k-means; one label per frame."""
