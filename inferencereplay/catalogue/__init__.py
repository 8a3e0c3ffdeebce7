"""Recordings read for people: the entries of a directory, conversations, and what they add up to.

The command line, the report and the exports are made of it; no session needs it.
"""
