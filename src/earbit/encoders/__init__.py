"""The encoders: one file each, a config and a stack; no encoder imports another."""
