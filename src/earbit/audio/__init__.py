"""Sound in: decoding, corpora, the synthetic corpus, batches by duration.

Nothing is imported here: `earbit.audio.decode` alone serves the runtime, and must stay light.
"""
