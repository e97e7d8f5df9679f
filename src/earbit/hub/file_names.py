"""Names of files in folders of transformers, which importers read and exports write."""

CARD, CONFIG, PREPROCESSOR = "README.md", "config.json", "preprocessor_config.json"
VOCABULARY, TOKENIZER = "vocab.json", "tokenizer_config.json"
FAST_TOKENIZER = "tokenizer.json"
"""Vocabulary and rules of a tokenizer in one file, which transformers.js reads."""
