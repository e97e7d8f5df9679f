"""Choice of a mixed plan under a budget of time or storage."""
