"""Faults: failures that a replay injects, as a server or a network would cause them.

Nothing here knows the SDK. A fault turns the recorded answer into another one; `sdk/fault_injection` lets the SDK's own
request loop meet it.
"""
