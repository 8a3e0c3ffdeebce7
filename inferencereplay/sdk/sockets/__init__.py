"""The SDK's WebSocket connections: recorded while they are live, and replayed without a network.

Nothing here is imported before the SDK opens a connection.
"""
