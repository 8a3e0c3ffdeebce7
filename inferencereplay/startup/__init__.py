"""The folder that `inferencereplay run` puts into PYTHONPATH."""
