"""Valid and invalid keys and tokens for tests."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.core.principal import Principal
from gateway.identity.interface import RequestCredentials
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.settings import Issuer

NOW = 1_800_000_000
URL, OTHER_URL = "https://issuer.test", "https://other.test"
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def b64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.ECAlgorithm
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else jwt.algorithms.RSAAlgorithm
    )
    jwk: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return jwk | {"kid": kid, "use": "sig"} | more


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Returns valid claims with `changes`; a value of `...` removes the claim."""
    good = {
        "iss": URL,
        "aud": "waypost",
        "sub": "alice",
        "client_id": "ci",
        "jti": "1",
        "iat": NOW - 10,
        "exp": NOW + 600,
        "tenant": "demo",
        "scope": "workflows:submit workflows:read",
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def token(
    key: Any = EC, algorithm: str = "ES256", /, *, header: dict[str, Any] | None = None, **changes: Any
) -> bytes:
    head = {"kid": "ec", "typ": "at+jwt"} | (header or {})
    return jwt.encode(
        claims(**changes), key, algorithm, {name: value for name, value in head.items() if value is not ...}
    ).encode()


def raw(
    header: bytes | dict[str, Any],
    payload: bytes | dict[str, Any] | None = None,
    signature: bytes = b"x" * 64,
) -> bytes:
    """Builds a token from three given segments."""
    parts = [header if isinstance(header, bytes) else json.dumps(header).encode()]
    body = claims() if payload is None else payload
    parts.append(body if isinstance(body, bytes) else json.dumps(body).encode())
    return b".".join([*map(b64, parts), b64(signature)])


class Clock:
    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def issuer(
    folder: Path, url: str = URL, *, keys: list[dict[str, Any]] | None = None, **changes: Any
) -> Issuer:
    """Returns an issuer whose key set is a file in `folder`."""
    path = folder / f"{url.removeprefix('https://')}.json"
    path.write_text(
        json.dumps({"keys": keys if keys is not None else [public(EC, "ec"), public(RSA, "rsa")]})
    )
    return Issuer(**({"url": url, "keys": str(path)} | changes))


async def ask(authenticator: JwtAuthenticator, presented: bytes, **more: Any) -> Principal:
    return await authenticator.authenticate(
        RequestCredentials(authorization=(b"Bearer " + presented,), **more)
    )
