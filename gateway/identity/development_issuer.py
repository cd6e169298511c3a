"""The development issuer: keeps a signing key in a folder, and makes tokens for all who can read it.

A gateway accepts its tokens only if it was started with `--dev`.
"""

import json
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.settings import Issuer
from waypost.files.permissions import make_private_folder

DEVELOPMENT_ISSUER: Final = "https://development.waypost.invalid"
KEY_FILE: Final = "key.pem"
KEY_ID: Final = "development"
SCOPES: Final = (
    "workflows:submit",
    "workflows:read",
    "workflows:cancel",
    "regions:read",
    "regions:operate",
    "routing:operate",
    "audit:read",
    "retention:operate",
    "exceptions:ask",
    "exceptions:approve",
    "workflows:release",
    "policy:read",
    "policy:operate",
)
"""The scopes that a development token gets by default: all that the API knows."""
MAXIMUM_LIFETIME_SECONDS: Final = 86_400
"""The longest lifetime of a development token; the gateway refuses longer ones."""


def development_issuer(folder: Path) -> Issuer:
    """Returns the settings of the issuer with its key in `folder`; creates key and key set if needed."""
    make_private_folder(folder)
    key = folder / KEY_FILE
    if not key.exists():
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key())) | {
            "kid": KEY_ID,
            "use": "sig",
            "alg": "ES256",
        }
        _write(folder / "jwks.json", json.dumps({"keys": [entry]}).encode())
        _write(key, pem)
    return Issuer(
        url=DEVELOPMENT_ISSUER,
        keys=str(folder / "jwks.json"),
        algorithms=("ES256",),
        maximum_lifetime_seconds=MAXIMUM_LIFETIME_SECONDS,
    )


def mint_token(
    folder: Path,
    *,
    subject: str,
    tenant: str,
    scopes: Sequence[str],
    groups: Sequence[str] = (),
    lifetime_seconds: int = 3_600,
    audience: str = "waypost",
) -> str:
    """Makes an access token, signed with the key in `folder`. Raises `OSError` if there is no key."""
    now = int(time.time())
    claims = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": audience,
        "sub": subject,
        "client_id": "waypost-cli",
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + lifetime_seconds,
        "tenant": tenant,
        "scope": " ".join(scopes),
        "groups": list(groups),
    }
    return jwt.encode(claims, (folder / KEY_FILE).read_bytes(), "ES256", {"kid": KEY_ID, "typ": "at+jwt"})


def _write(path: Path, content: bytes) -> None:
    """Writes a file atomically, readable only by the user who runs this process."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
