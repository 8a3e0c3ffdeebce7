"""What is secret: token shapes, secret names and a client's own keys, in text, JSON, Base64 and the chunks of a stream.

A `Redactor` replaces them with `[REDACTED]` before anything is hashed, written, logged or raised. Sessions, the SDK's
side and the tools for people use it.
"""
