"""Measured time and memory of programs, side by side with other engines.

Nothing is imported here: the processes that are measured must stay light.
"""
