"""Decides whether a host is this machine itself: secrets may go there without TLS.

Performs no I/O.
"""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` is literally `localhost` or a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
