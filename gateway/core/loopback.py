"""The rule which hosts are this machine itself: what is secret may go to them without TLS. Pure."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Returns whether `host` is `localhost` or a loopback address, to the letter."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
