"""The embedded corpus: synthetic speech with words, phones, intents, slots, keywords and styles."""
