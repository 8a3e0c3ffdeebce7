"""Recordings for people: the entries of a directory, their conversations, and totals.

The command line, the report and the exports use it; no session needs it.
"""
