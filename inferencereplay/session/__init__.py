"""One use of a store: the settings, the decision for each call, the numbering of variants, the misses and the counts.

Nothing here knows the SDK. `sdk/` asks a `Session` for the decision about a call; `active` says which session answers.
"""
