"""Everything that touches the `openai` package: the patches, fast replay, HTTP replay and the capture of live answers.

The SDK's private names are all in `private`. Only `wrap`, `replay` and the environment's session install the patches.
"""
