"""One use of a store: the settings, the decision for each call, the numbering of variants, the misses and the counts.

Nothing here knows the SDK. The SDK's side asks a `Session` what becomes of a call; `active` says which session that is.
"""
