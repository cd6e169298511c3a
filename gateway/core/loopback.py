"""`is_loopback`, which tells whether a host name or address is this machine itself.

Performs no I/O.
"""

import ipaddress


def is_loopback(host: str) -> bool:
    """Returns whether `host` is literally `localhost` or a loopback address, where secrets need no TLS."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
