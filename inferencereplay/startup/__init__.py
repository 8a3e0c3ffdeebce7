"""The folder that `inferencereplay run` puts first into PYTHONPATH, so that a program begins with a session.

Python itself imports its `sitecustomize`; nothing else does.
"""
