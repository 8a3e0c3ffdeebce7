"""Stores of recordings: a directory of ours or of llama-stack's recorder, read and written safely by many processes.

`open_store` in `opening` recognizes which. Sessions, the catalogue and the upkeep commands use stores.
"""
