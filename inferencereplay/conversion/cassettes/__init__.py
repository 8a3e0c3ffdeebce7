"""Cassettes of VCR.py and of cassetter: recorded HTTP, understood as calls of the OpenAI API."""
