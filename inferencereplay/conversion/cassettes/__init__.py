"""Cassettes of VCR.py and of cassetter: recorded HTTP, read as calls of the OpenAI API for `importing`."""
