"""Measures time and memory of programs and other engines.

This file imports nothing, to keep the measured processes small.
"""
