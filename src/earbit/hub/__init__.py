"""Importers of models from other programs, one per source format."""
