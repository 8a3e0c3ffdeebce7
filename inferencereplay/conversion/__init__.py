"""Conversion of other libraries' recordings to ours, and of ours to formats of other programs.

The command line uses it.
"""
