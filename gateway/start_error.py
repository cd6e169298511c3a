"""The error of a gateway that cannot start with its settings."""


class StartError(Exception):
    """The gateway cannot start with these settings. The text says why."""
