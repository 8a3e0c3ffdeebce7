"""Recordings for people: the entries of a directory, their conversations, and totals.

The command line, the report, the exports and the upkeep commands use it; no session needs it.
"""
