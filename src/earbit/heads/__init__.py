"""Heads: small networks on hidden states, their kinds of output, and their cases."""
