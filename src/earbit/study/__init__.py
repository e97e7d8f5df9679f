"""The whole comparison with one command: every stage in turn, then the report."""
