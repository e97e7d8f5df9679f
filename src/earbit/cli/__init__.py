"""The command line; `main` runs one verb."""
