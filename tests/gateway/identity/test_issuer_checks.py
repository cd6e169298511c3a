"""Tests that a wrong issuer in the settings stops the start, with a sentence that says why."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.identity.issuer_checks import InvalidIssuer, check_issuers
from gateway.settings import Issuer
from tests.gateway.identity.tokens import URL, issuer
from waypost.pki import authority


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ca": "nope.pem"}, "its ca: cannot read 'nope.pem': No such file or directory"),
        ({"ca": "nope\0.pem"}, "its ca: cannot read 'nope\\x00.pem': embedded null byte"),
        ({"ca": "/etc/passwd"}, "its ca: /etc/passwd holds no certificate in PEM"),
        ({"ca": ""}, "its setting ca is empty: leave it out to trust the public roots"),
        ({"keys": ""}, "its setting keys is empty: leave it out to find the keys by the issuer's url"),
        ({"keys": "nope.json"}, "its keys cannot be read: nope.json: No such file or directory"),
        ({"keys": "/etc/passwd"}, "its keys cannot be read: '/etc/passwd': not a key set: json"),
        ({"keys": "/etc"}, "its keys cannot be read: /etc: Is a directory"),
        ({"keys": "no\0pe"}, "its keys cannot be read: 'no\\x00pe': embedded null byte"),
        ({"keys": "ftp://issuer.test"}, "its keys must come by https, without a name or password"),
        ({"audience": ""}, "its setting audience is empty: it is what `aud` must name"),
        ({"tenant_claim": ""}, "its setting tenant_claim is empty: it is the claim that names the tenant"),
        ({"algorithms": ()}, "its setting algorithms is empty: no token could be verified"),
        ({"keys": None, "url": "issuer"}, "its url is no https address, so its keys must be named"),
    ],
)
def test_a_wrong_setting_is_named_with_issuer_and_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Else the gateway starts and takes no token, or trusts other roots than was meant."""
    with pytest.raises(InvalidIssuer) as refused:
        check_issuers([structs.replace(issuer(tmp_path), **changes)])

    assert str(refused.value).startswith(f"issuer {changes.get('url', URL)}: {message}")


def test_good_issuers_are_taken(tmp_path: Path) -> None:
    """By file, by address, by their own metadata, with roots of their own; in whatever case."""
    authority.create_root(tmp_path)
    ca = str(tmp_path / "ca.pem")

    check_issuers(
        [issuer(tmp_path, ca=ca), Issuer(url="HTTPS://a.test", ca=ca), Issuer(url="https://b.test")]
    )


def test_an_issuer_has_a_url_of_its_own(tmp_path: Path) -> None:
    """It picks by whose keys a token is verified."""
    with pytest.raises(InvalidIssuer, match="the url of an issuer is empty"):
        check_issuers([issuer(tmp_path), Issuer(url="", keys="keys.json")])
    with pytest.raises(InvalidIssuer, match="two issuers have the same url"):
        check_issuers([issuer(tmp_path), issuer(tmp_path)])
