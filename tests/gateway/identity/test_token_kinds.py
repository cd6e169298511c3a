"""Tests which kinds of token an issuer with `profile = "plain"` may send: access tokens alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import Unauthenticated
from gateway.identity.jws_parsing import TokenRejected, check_header
from gateway.identity.jwt_verification import TOKEN_TYPES, JwtAuthenticator
from tests.gateway.identity.tokens import NOW, Clock, ask, issuer, token

EVENTS: tuple[object, ...] = ({"http://schemas.openid.net/event/backchannel-logout": {}}, {}, None)
OTHER_KINDS: tuple[dict[str, Any], ...] = (
    *(
        {"typ": name}
        for name in (
            *("ID", "id_token", "IDToken", "id ", "", "Serialized-ID", "Logout", "logout+jwt", "Refresh"),
            *("RefreshToken", "Offline", "InitialAccessToken", "RegistrationAccessToken", "DPoP", "JWT"),
            *(None, 7, ["Bearer"], "Bearer ", " at+jwt", "at+jwt;x", "secevent+jwt", "whatever"),
        )
    ),
    *({"token_use": name} for name in ("id", "refresh", "", None, "access ")),
    *({"token_type": name} for name in ("id_token", "refresh", "refresh_token", "N_A", "", None, 1)),
    *({"events": value} for value in EVENTS),
    {"c_hash": "x"},
    {"nonce": None},
)


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[JwtAuthenticator]:
    issuers = [issuer(tmp_path, profile="plain")]
    async with JwtAuthenticator(issuers, clock=Clock(NOW), monotonic=Clock(0.0)) as authenticator:
        yield authenticator


@pytest.mark.parametrize("changes", OTHER_KINDS, ids=str)
async def test_what_is_no_access_token_is_refused(plain: JwtAuthenticator, changes: dict[str, Any]) -> None:
    """Issuers make up kinds of their own: what is not known to be good is not."""
    with pytest.raises(Unauthenticated) as refused:
        await ask(plain, token(header={"typ": "JWT"}, **changes))
    assert str(refused.value.__cause__) == "claims.kind"


@pytest.mark.parametrize("typ", ["", "application/", "logout+jwt", "id_token+jwt", "JOSE", None, 7, "JWT "])
def test_a_header_of_another_kind_is_refused(typ: object) -> None:
    """An empty `typ` is not a missing one."""
    header = {"alg": "ES256", "kid": "ec"}
    assert check_header(header, TOKEN_TYPES["plain"]) == ("ES256", "ec")
    with pytest.raises(TokenRejected, match=r"header\.typ"):
        check_header({**header, "typ": typ}, TOKEN_TYPES["plain"])


@pytest.mark.parametrize(
    ("typ", "changes"),
    [
        ("JWT", {}),
        ("at+jwt", {"typ": "at+jwt"}),
        ("application/AT+JWT", {"typ": "Bearer"}),
        ("jwt", {"typ": "bearer", "token_type": "Bearer"}),
        ("JWT", {"token_use": "access", "client_id": ..., "jti": ...}),
    ],
)
async def test_access_tokens_are_accepted(plain: JwtAuthenticator, typ: str, changes: dict[str, Any]) -> None:
    """As Keycloak, Cognito and others write them."""
    assert (await ask(plain, token(header={"typ": typ}, **changes))).subject == "alice"
