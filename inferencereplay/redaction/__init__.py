"""The redaction of secrets: token shapes, secret names and a client's own keys, in text, JSON, Base64 and streams.

A `Redactor` replaces them with `[REDACTED]` before anything is hashed, written, logged or raised. Sessions, `sdk/` and
the command line use it.
"""
