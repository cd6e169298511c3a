"""`StartError`, raised if a gateway cannot start with its settings."""


class StartError(Exception):
    """Raised if the gateway cannot start with its settings; the text says which setting and why."""
