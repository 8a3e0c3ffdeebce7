"""Recordings over HTTP, for programs in any language: an ASGI application, and the server of `inferencereplay serve`.

It needs the extra `serve`. Nothing else in the package imports it, but for the command line and the pytest plugin.
"""

from inferencereplay.server.application import app

__all__ = ["app"]
