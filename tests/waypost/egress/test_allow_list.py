"""Tests which hosts and addresses an allow-list of egress permits."""

from ipaddress import ip_address

import pytest

from waypost.egress.allow_list import Egress

SETTING = "the cluster's setting egress"


@pytest.mark.parametrize(
    ("rules", "host", "port", "permitted"),
    [
        ([], "api.example.com", 443, False),
        (["api.example.com"], "api.example.com", 443, True),
        (["api.example.com"], "API.Example.COM.", 443, True),
        (["api.example.com"], "api.example.com", 80, True),
        (["api.example.com"], "api.example.com", 8443, False),
        (["api.example.com:8443"], "api.example.com", 8443, True),
        (["api.example.com:8443"], "api.example.com", 443, False),
        (["api.example.com:*"], "api.example.com", 22, True),
        (["api.example.com"], "evil.api.example.com", 443, False),
        (["*.example.com"], "a.b.example.com", 443, True),
        (["*.example.com"], "example.com", 443, False),
        (["*.example.com"], "evilexample.com", 443, False),
        (["*"], "anything.test", 443, True),
        (["*"], "anything.test", 8080, False),
        (["*"], "93.184.216.34", 443, True),
        (["example.com"], "93.184.216.34", 443, False),
        (["93.184.216.0/24"], "93.184.216.34", 443, True),
        (["*"], "127.0.0.1", 443, False),
        (["*"], "169.254.169.254", 80, False),
        (["*"], "[fd00:ec2::254]", 80, False),
        (["127.0.0.1:8080"], "127.0.0.1", 8080, True),
        (["127.0.0.1:8080"], "127.0.0.1", 8081, False),
        (["[::1]:8080"], "[::1]", 8080, True),
        (["10.0.0.0/8"], "internal.test", 443, False),
    ],
)
def test_a_host_is_permitted_by_name_or_network(
    rules: list[str], host: str, port: int, *, permitted: bool
) -> None:
    assert (Egress(rules, setting=SETTING).host_fault(host, port) == "") is permitted


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe:0:0:0:0",
        "ff02::1",
        "fec0::1",
        "3fff::1",
        "168.63.129.16",
    ],
)
def test_a_permitted_name_leads_to_no_address_that_is_not_public(address: str) -> None:
    """Whoever owns a name can let it point at the cluster's own network."""
    assert "not public" in Egress(["*:*"], setting=SETTING).address_fault(
        "api.test", 443, ip_address(address)
    )


def test_a_listed_network_may_be_reached_by_name() -> None:
    egress = Egress(["internal.test:8080", "10.1.0.0/16:8080"], setting=SETTING)
    assert egress.host_fault("internal.test", 8080) == ""
    assert egress.address_fault("internal.test", 8080, ip_address("10.1.2.3")) == ""
    fault = egress.address_fault("internal.test", 8080, ip_address("10.2.2.3"))
    # Not the address: whoever sent the name would learn what is where in our network.
    assert fault == (
        "internal.test has an address that is not public, and in no network that the cluster's setting egress"
        " lists with port 8080"
    )
    assert egress.address_fault("internal.test", 8080, ip_address("93.184.216.34")) == ""


@pytest.mark.parametrize(
    "rule", ["", "https://a.test", "a.test/x", "a b", "10.0.0.1/8", "a.test:x", "[a]:1", "*a"]
)
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    """Taken as something else it would permit more or less than was meant."""
    with pytest.raises(ValueError, match="is no host, network or address"):
        Egress([rule], setting=SETTING)


def test_an_address_that_is_listed_with_another_port_is_refused_with_its_port() -> None:
    fault = Egress(["127.0.0.1:8080"], setting=SETTING).host_fault("127.0.0.1", 8081)
    assert fault == "the cluster's setting egress does not list 127.0.0.1:8081, which is not public"


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        ("A.example.com.", 443, "*.example.com"),
        ("a.example.com", 8443, None),
        ("api.test", 8443, "api.test:8443"),
        ("127.0.0.2", 80, "127.0.0.0/8:*"),
        ("93.184.216.34", 443, None),
    ],
)
def test_the_rule_that_permits_a_host_is_named_as_it_was_set(host: str, port: int, rule: str | None) -> None:
    """Metrics have it as a label: a host itself is what a caller chooses."""
    egress = Egress(["*.example.com", "api.test:8443", "127.0.0.0/8:*"], setting=SETTING)
    assert egress.rule_for(host, port) == rule
