"""Kinds of output: what heads, losses and programs know instead of tasks."""
