"""Recordings against the live server: stored requests are asked again, and their answers compared with the stored ones.

Only the commands `verify` and `refresh` use it.
"""
