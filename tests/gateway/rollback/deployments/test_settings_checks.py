"""Tests that mistakes in the settings of external deployments are found at the gateway's start."""

from typing import Any

import msgspec
import pytest

from gateway.rollback.deployments.settings_checks import mistakes
from gateway.rollback_settings import ExternalDeployment
from tests.gateway.rollback.deployments.deployment_world import a_deployment


def test_good_settings_have_no_mistakes() -> None:
    assert list(mistakes([a_deployment(), a_deployment(name="other", url="http://127.0.0.1:1/x?a=$$")])) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"total": "up"}, "total must have $version and $window"),
        ({"bad": 'a{version="$version"}$window$odd'}, "bad must have"),
        ({"bad": "$version$window$"}, "bad must have"),
        ({"body": "$secret"}, "body may have $name"),
        ({"body": "5 $"}, "body may have"),
        ({"url": "https://ci.test/$token"}, "url may have $name"),
        ({"url": "https://$name.test/"}, "host without $"),
        ({"url": "https://user:password@ci.test/"}, "neither a user nor a password"),
        ({"url": "http://ci.test/"}, "url must be https"),
        ({"url": "ftp://ci.test/"}, "url must be https"),
        ({"url": "/path"}, "must have a host"),
        ({"url": "https://ci.test:port/"}, "url is no address"),
        ({"headers": {"X Y": "1"}}, "the header X Y"),
        ({"headers": {"X": "a\r\nY: b"}}, "the header X"),
        ({"signature_header": "X:"}, "the header X:"),
        ({"token": None}, "$token is used"),
    ],
)
def test_a_mistake_is_told_with_its_deployment(changes: dict[str, Any], why: str) -> None:
    found = list(mistakes([a_deployment(**changes)]))
    assert found
    assert all(one.startswith("rollback.deployments, shop: ") for one in found)
    assert why in found[0]


def test_names_are_given_once() -> None:
    assert "rollback.deployments, shop: the name is given twice" in list(mistakes([a_deployment()] * 2))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Shop@1"},
        {"token": "s3cret"},
        {"key": "vault:x"},
        {"token": "file:relative"},
        {"method": "GET"},
    ],
)
def test_what_the_types_refuse_is_no_setting(changes: dict[str, Any]) -> None:
    """A secret itself is none: settings have where it is."""
    values = msgspec.to_builtins(a_deployment()) | changes
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, ExternalDeployment)
