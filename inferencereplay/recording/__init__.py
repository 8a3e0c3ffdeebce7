"""A request and its key, the file that holds the request with its answer, and the differences of two requests.

Pure functions over JSON and bytes. Every other package may use this one, which imports only the errors.
"""
