"""Which issuers a gateway starts with."""

from pathlib import Path

import pytest

from gateway.app import StartError, compose
from gateway.settings import GatewaySettings, Issuer, Secret

GOOD = Issuer(url="https://issuer.test", keys="keys.json")


@pytest.mark.parametrize(
    ("issuers", "detail"),
    [
        (
            (GOOD, Issuer(url="https://issuer.test", keys="other.json", audience="other")),
            "two issuers have the same url",
        ),
        (
            (GOOD, Issuer(url="https://other.test", keys="http://other.test/jwks")),
            "https://other.test: its keys must come by https",
        ),
        (
            (Issuer(url="https://other.test", keys="https://u:hunter2@other.test/jwks"),),
            "https://other.test: its keys must come by https",
        ),
    ],
)
async def test_an_issuer_that_cannot_be_trusted_stops_the_start(
    tmp_path: Path, issuers: tuple[Issuer, ...], detail: str
) -> None:
    """Of two with one url the last would win in silence; keys that came in the clear could be anybody's."""
    with pytest.raises(StartError, match=detail) as refused:
        async with compose(
            GatewaySettings(store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"), issuers=issuers)
        ):
            pass
    assert "hunter2" not in str(refused.value)
