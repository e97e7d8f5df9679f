"""The command line: `main` runs one command."""
