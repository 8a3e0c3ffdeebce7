"""Recordings in an object store (S3, GCS, Azure, HTTP, memory), by the package obstore: the extra `stores`.

`store/opening` imports this package where a directory is the URL of one; nobody else pays for it.
"""
