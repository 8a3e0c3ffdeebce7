"""Answers by hand: from what a person says to a complete, valid answer of an endpoint.

A `Stub` is one such answer, with what it is for. An endpoint's module makes the answer that its server would send.
"""
