"""`StartError`, raised if a gateway cannot start with its settings."""


class StartError(Exception):
    """Raised if the gateway cannot start with its settings. The text says why."""
