"""The maintenance of a directory of recordings: checks, the removal of unused recordings, and new keys.

The command line uses it.
"""
