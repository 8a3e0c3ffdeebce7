"""A request and its key, the file that holds the request with its answer, and the differences of two requests.

Pure functions over JSON and bytes. Every other room may use this one; it knows only the errors.
"""
