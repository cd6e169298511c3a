"""Which keys may sign tokens. A set with one bad member is refused whole: somebody does not know what they are publishing."""

import json
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ALGORITHMS: Final = {"RSA": ("RS256", "PS256"), "P-256": ("ES256",), "P-384": ("ES384",), "Ed25519": ("EdDSA",)}
RSA_BITS: Final = 2048
# Primes for which a ROCA modulus lies in the subgroup that 65537 generates (CVE-2017-15361, Nemec et al.).
ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
ROCA_RESIDUES: Final = {prime: frozenset(pow(65537, k, prime) for k in range(prime)) for prime in ROCA_PRIMES}


class UnfitKeys(Exception):
    """A key set that cannot be trusted, and why."""


def read_keys(text: bytes, allowed: tuple[str, ...]) -> dict[str, tuple[jwt.PyJWK, frozenset[str]]]:
    """The keys of a JWKS by id, each with the algorithms it may be used with. Encryption keys are left out. Raises `UnfitKeys`."""
    try:
        entries = json.loads(text)["keys"]
        if not isinstance(entries, list):
            raise UnfitKeys("keys is not a list")
        found: dict[str, tuple[jwt.PyJWK, frozenset[str]]] = {}
        for entry in entries:
            if entry.get("kty") == "oct" or "d" in entry:
                raise UnfitKeys("a secret key is among them")
            if not _signs(entry):
                continue
            kid = entry.get("kid")
            if not isinstance(kid, str) or not kid or kid in found:
                raise UnfitKeys("a key has no id, or two have the same")
            found[kid] = _key(entry, allowed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise UnfitKeys(f"not a key set: {type(error).__name__}") from error
    return found


def _signs(entry: dict[str, Any]) -> bool:
    return entry.get("use", "sig") == "sig" and "verify" in entry.get("key_ops", ["verify"])


def _key(entry: dict[str, Any], allowed: tuple[str, ...]) -> tuple[jwt.PyJWK, frozenset[str]]:
    kind = entry.get("crv") or entry.get("kty")
    fitting = [name for name in ALGORITHMS.get(str(kind), ()) if name in allowed and entry.get("alg", name) == name]
    if not fitting:
        raise UnfitKeys(f"a {kind} key fits none of the permitted algorithms")
    key = jwt.PyJWK({**entry, "alg": fitting[0]})
    if isinstance(key.key, rsa.RSAPublicKey):
        numbers = key.key.public_numbers()
        if key.key.key_size < RSA_BITS or numbers.e < 65537 or numbers.e % 2 == 0:
            raise UnfitKeys("an RSA key is too short, or its exponent is")
        if all(numbers.n % prime in ROCA_RESIDUES[prime] for prime in ROCA_PRIMES):
            raise UnfitKeys("an RSA key has the ROCA weakness")
    return key, frozenset(fitting)
