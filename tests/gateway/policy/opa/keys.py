"""Keys for signing policy bundles in tests."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.policy.opa.bundle_signature import SigningKey, VerificationKey

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNS = SigningKey(key=KEY, key_id="waypost")
VERIFIES = VerificationKey(key=KEY.public_key(), key_id="waypost")


def write_private_key(path: Path, key: Any = KEY) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def write_public_key(path: Path, key: Any = KEY) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path
