"""Recordings of other libraries to ours, and ours to formats that other programs read."""
