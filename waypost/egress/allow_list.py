"""Decides which hosts a process may call for others (egress), by an allow-list. Pure.

A name is permitted by its name. What it resolves to must be a public address, or one of a listed network:
otherwise a name that anybody may register would lead to the process's own machine, to its network, or to the
address at which clouds hand out credentials.
"""

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from msgspec import Struct

Address: TypeAlias = IPv4Address | IPv6Address

DEFAULT_PORTS: Final = frozenset({80, 443})
"""The ports of a rule that names none."""
NAME: Final = re.compile(r"(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*)")
NAT64: Final = IPv6Network("64:ff9b::/96")
NOT_PUBLIC: Final = (
    # Site-local addresses and those of documentation: Python 3.11 calls them global.
    *(IPv6Network("fec0::/10"), IPv6Network("3fff::/20")),
    # The host of a virtual machine in Azure, which hands out its keys: public in form alone.
    IPv4Network("168.63.129.16/32"),
)
RULE: Final = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}|\*))?")


class Rule(Struct, frozen=True, kw_only=True):
    """One rule of the allow-list: hosts by name, or by network, with their ports."""

    text: str
    """The rule as the setting has it."""
    name: str = ""
    """A name, `*.` and a name for all below it, or `*`; empty for a network."""
    network: IPv4Network | IPv6Network | None = None
    ports: frozenset[int] | None = DEFAULT_PORTS
    """None: any port."""

    def has_port(self, port: int) -> bool:
        return self.ports is None or port in self.ports

    def has_name(self, host: str) -> bool:
        return (
            self.name == "*" or self.name == host or (self.name[:2] == "*." and host.endswith(self.name[1:]))
        )

    def has_address(self, address: Address) -> bool:
        return self.network is not None and address in self.network


class Egress:
    """The allow-list of the hosts that may be called, as a setting has it.

    A rule is a name (`api.example.com`), all names below one (`*.example.com`), any name (`*`), an address or
    a network (`10.1.0.0/16`), each with `:PORT` or `:*`; without, the ports 80 and 443. Raises `ValueError`
    for a rule that is none of these. `setting` names the setting in texts for people, which name no address
    that a name resolves to: the sender of the name would learn what is where in our network.
    """

    def __init__(self, rules: Iterable[str], *, setting: str) -> None:
        self._rules, self._setting = [_parse(rule) for rule in rules], setting

    def __repr__(self) -> str:
        return f"Egress({self._rules})"

    def host_fault(self, host: str, port: int) -> str:
        """Returns why the host of a URL may not be called; empty if it may be, as far as its name goes."""
        address = _literal(host)
        if address is not None:
            return self.address_fault(host, port, address)
        if self._rule_by_name(host, port) is not None:
            return ""
        return f"{self._setting} does not list {host}:{port}"

    def rule_for(self, host: str, port: int) -> str | None:
        """Returns the first rule that permits the host of a URL, as the setting has it; None if none does."""
        if (address := _literal(host)) is None:
            rule = self._rule_by_name(host, port)
        elif self.address_fault(host, port, address):
            rule = None
        else:
            named = (one for one in self._rules if one.has_address(address) or one.name == "*")
            rule = next((one for one in named if one.has_port(port)), None)
        return None if rule is None else rule.text

    def _rule_by_name(self, host: str, port: int) -> Rule | None:
        name = plain(host)
        found = (rule for rule in self._rules if rule.name and rule.has_name(name) and rule.has_port(port))
        return next(found, None)

    def address_fault(self, host: str, port: int, address: Address) -> str:
        """Returns why `address`, to which `host` has resolved, may not be connected to; empty if it may be.

        For an address that a URL names itself a rule for the address, its network or `*` is needed.
        """
        forms = _forms(address)
        for form in forms:
            # Every form in which the address can be read must be permitted: a gateway may take any of them.
            if any(rule.has_port(port) and rule.has_address(form) for rule in self._rules):
                continue
            if not is_public(form):
                if _literal(host) is not None:
                    return f"{self._setting} does not list {host}:{port}, which is not public"
                unlisted = f"in no network that {self._setting} lists with port {port}"
                return f"{host} has an address that is not public, and {unlisted}"
            if _literal(host) is not None and not any(
                rule.has_port(port) and rule.name == "*" for rule in self._rules
            ):
                return f"{self._setting} does not list {host}:{port}"
        return ""


def plain(host: str) -> str:
    """Returns a host's name in lower case, without the dot at its end."""
    return host.lower().removesuffix(".")


def is_public(address: Address) -> bool:
    """Returns whether an address is one of the public internet: not local, private, reserved or multicast."""
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _forms(address: Address) -> list[Address]:
    """Returns an address, with the IPv4 addresses that it carries inside (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[Address | None] = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        inner.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [address, *(form for form in inner if form is not None)]


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _parse(rule: str) -> Rule:
    # A network or an address of IPv6 has colons: with a port it stands in brackets.
    bare = _network(rule)
    if bare is not None:
        return Rule(text=rule, network=bare)
    found = RULE.fullmatch(rule)
    if found is None:
        raise ValueError(f"{rule[:80]!r} is no host, network or address, with or without a port")
    ports: frozenset[int] | None = DEFAULT_PORTS
    if (port := found["port"]) is not None:
        ports = None if port == "*" else frozenset({int(port)})
    host = found["bracketed"] or found["host"]
    if (network := _network(host)) is not None:
        return Rule(text=rule, network=network, ports=ports)
    name = plain(host)
    if found["bracketed"] or not NAME.fullmatch(name):
        raise ValueError(f"{rule[:80]!r} is no host, network or address, with or without a port")
    return Rule(text=rule, name=name, ports=ports)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
