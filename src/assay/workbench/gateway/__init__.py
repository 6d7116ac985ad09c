"""The gateway: its models and endpoints, its health, an examination of it."""
