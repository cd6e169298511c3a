"""Tests the address of an OPA in the setting `policy.engine`."""

import pytest

from gateway.policy.opa.address import OpaAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("opa+http://127.0.0.1:8181", OpaAddress(host="127.0.0.1", port=8181)),
        ("opa+http://localhost", OpaAddress(host="localhost", port=8181)),
        ("opa+http://[::1]:9000/", OpaAddress(host="[::1]", port=9000)),
        ("opa+https://opa.example:443", OpaAddress(host="opa.example", port=443, tls=True)),
        ("opa+unix:/run/opa/opa.sock", OpaAddress(socket="/run/opa/opa.sock")),
    ],
)
def test_an_address_is_a_host_or_a_socket(text: str, address: OpaAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("opa+http:", "opa+http://", "opa+http://:8181", "opa+http:127.0.0.1", "opa+http://127.0.0.1:x"),
        *("opa+http://10.1.0.5:8181", "opa+http://opa.example", "opa+http://127.0.0.1.example"),
        *("opa+https://user:word@opa.example", "opa+https://opa.example/v1", "opa+https://opa.example?x=1"),
        *(
            "opa+https://opa.example#x",
            "opa+unix:opa.sock",
            "opa+unix:",
            "opa+unix://opa.sock",
            "opa+ftp://x",
        ),
        *("opa+http://127.0.0.1:99999", "opa+https://[::1"),
    ],
)
def test_what_is_no_such_address_is_refused(text: str) -> None:
    """Plain http leaves this machine under no name: anybody on the way could permit everything."""
    with pytest.raises(ValueError):
        parse_address(text)
