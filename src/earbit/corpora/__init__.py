"""Published corpora: readers of their files as distributed."""
