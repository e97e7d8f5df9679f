"""Models of other programs: one importer per source format."""
