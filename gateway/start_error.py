"""The error of a gateway that cannot start with its settings."""


class StartError(Exception):
    """Raised where the gateway cannot start with its settings. The text says why."""
