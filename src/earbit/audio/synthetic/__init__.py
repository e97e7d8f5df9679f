"""The synthetic corpus: speech with words, phones, intents, slots, keywords and styles."""
