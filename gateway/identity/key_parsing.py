"""Parses an issuer's key set (JWKS, RFC 7517) and checks which of the keys may verify tokens.

A set with one weak or secret key is refused as a whole: its publisher made a mistake. Keys for other purposes
or of unused types are left out, since an issuer publishes keys for all of its clients.
"""

from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.identity.strict_decoding import NotStrict, decode_base64url, decode_object, is_key_id

ALGORITHMS: Final = {
    "RSA": ("RS256", "PS256"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "Ed25519": ("EdDSA",),
}
"""The signature algorithms for each curve or key type."""
NUMBER_MEMBERS: Final = frozenset({"x", "y", "n", "e"})
"""The members of a public key that are bytes in base64url (RFC 7518, 6.2 and 6.3)."""
SECRET_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""The members of a key that only secret keys have."""
RSA_BITS: Final = range(2048, 8192 + 1)
"""The permitted sizes of an RSA key in bits: shorter keys can be broken, longer ones are slow."""
# Primes for which a ROCA modulus lies in the subgroup that 65537 generates (CVE-2017-15361, Nemec et al.).
ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
ROCA_RESIDUES: Final = {prime: frozenset(pow(65537, k, prime) for k in range(prime)) for prime in ROCA_PRIMES}


class InvalidKeySet(Exception):
    """Raised for an issuer's key set (JWKS) that cannot be used or fetched, or whose address is unusable.

    A set cannot be used if it is no JWKS, has a weak or secret key, or a key without an id or with that of
    another key. The text gives the reason, and contains nothing of the keys.
    """


def parse_key_set(text: bytes, allowed: tuple[str, ...]) -> dict[str, tuple[jwt.PyJWK, frozenset[str]]]:
    """Parses the JWKS `text`; returns its keys by key id, each with the algorithms it may be used with.

    `allowed` are the algorithms that the issuer may use. Raises `InvalidKeySet` for a set that is no JWKS,
    has a secret or weak key, or has a key (for signatures) without an id or with that of another key.
    """
    try:
        entries = decode_object(text)["keys"]
        if not isinstance(entries, list):
            raise InvalidKeySet("keys is not a list")
        found: dict[str, tuple[jwt.PyJWK, frozenset[str]]] = {}
        for entry in entries:
            # Published by mistake: the publisher's other keys cannot be trusted either.
            if entry.get("kty") == "oct" or not SECRET_MEMBERS.isdisjoint(entry):
                raise InvalidKeySet("a secret key is among them")
            algorithms = _permitted_algorithms(entry, allowed)
            if not _is_for_signatures(entry) or not algorithms:
                continue
            kid = entry.get("kid")
            if not is_key_id(kid) or kid in found:
                raise InvalidKeySet("a key has no id or one that no token can name, or two have the same")
            found[kid] = _checked_key(entry, algorithms), frozenset(algorithms)
    except NotStrict as error:
        raise InvalidKeySet(f"not a key set: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise InvalidKeySet(f"not a key set: {type(error).__name__}") from error
    return found


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list):
        raise InvalidKeySet("a key's key_ops are no list")
    return entry.get("use", "sig") == "sig" and "verify" in operations


def _permitted_algorithms(entry: dict[str, Any], allowed: tuple[str, ...]) -> list[str]:
    kind = entry.get("crv") or entry.get("kty")
    return [
        name for name in ALGORITHMS.get(str(kind), ()) if name in allowed and entry.get("alg", name) == name
    ]


def _checked_key(entry: dict[str, Any], algorithms: list[str]) -> jwt.PyJWK:
    # PyJWT (2.10) takes padding, both alphabets and spare bits: second spellings of the same key.
    for name in NUMBER_MEMBERS & entry.keys():
        decode_base64url(entry[name].encode())
    key = jwt.PyJWK({**entry, "alg": algorithms[0]})
    if isinstance(key.key, rsa.RSAPublicKey):
        numbers = key.key.public_numbers()
        if key.key.key_size not in RSA_BITS or numbers.n % 2 == 0 or numbers.e < 65537 or numbers.e % 2 == 0:
            raise InvalidKeySet("an RSA key is too short or too long, or its exponent or modulus is none")
        if all(numbers.n % prime in ROCA_RESIDUES[prime] for prime in ROCA_PRIMES):
            raise InvalidKeySet("an RSA key has the ROCA weakness")
    return key
