"""The study: all stages of the comparison with one command, then the report."""
