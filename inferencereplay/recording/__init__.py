"""What is recorded: a request and its key, the file that holds it with its answer, and what tells two requests apart.

Pure functions over JSON and bytes. Every other room may use this one; it knows only the errors.
"""
