"""The report of a study: one page, made from results.json."""
