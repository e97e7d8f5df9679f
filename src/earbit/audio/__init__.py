"""Audio input: decoding, corpora, the synthetic corpus, batches by duration.

This file imports nothing, so that the runtime can import `earbit.audio.decode` quickly.
"""
