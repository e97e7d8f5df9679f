"""Kinds of output, the task-independent interface of heads, losses and programs."""
