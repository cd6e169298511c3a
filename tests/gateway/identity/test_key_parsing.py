"""Tests which keys of a key set may verify tokens."""

import string

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.identity.key_parsing import InvalidKeySet, parse_key_set
from tests.gateway.identity.tokens import EC, OTHER_EC, RSA, b64, key_set, public

ALL = ("ES256", "RS256", "PS256", "EdDSA")


OCT = {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
OF_NO_USE = (
    public(ec.generate_private_key(ec.SECP521R1()), "p521"),
    public(ec.generate_private_key(ec.SECP256K1()), "k1"),
    public(RSA, "rs512", alg="RS512"),
    {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x25519"},
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"},
)


def padded(text: str) -> str:
    return text + "=" * (-len(text) % 4 or 4)


def with_spare_bits(text: str) -> str:
    """Changes the last base64 character only in bits that belong to no byte."""
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]


ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
WITH_DASH = next(
    key for _ in iter(int, 1) if "-" in (key := public(ec.generate_private_key(ec.SECP256R1()), "ec"))["x"]
)
UNFIT: dict[str, bytes] = {
    "11 RSA of 1024 bits": key_set(public(SHORT, "rsa")),
    "12 exponent one": key_set(public(RSA, "rsa") | {"e": "AQ"}),
    "18 the same id twice": key_set(public(EC, "ec"), public(OTHER_EC, "ec")),
    "19 a symmetric key among them": key_set(public(EC, "ec"), OCT),
    "a private key": key_set(public(EC, "ec") | {"d": "AAAA"}),
    "no id": key_set({k: v for k, v in public(EC, "ec").items() if k != "kid"}),
    "not JSON": b"<html>",
    "not a set": b"[]",
    "UTF-16": key_set(public(EC, "ec")).decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + key_set(public(EC, "ec")),
    "keys twice": key_set(public(EC, "ec")).replace(b"{", b'{"keys": [], ', 1),
    "a member twice": key_set(public(EC, "ec")).replace(b'"kid"', b'"kid": "other", "kid"'),
    "an even modulus": key_set(
        public(RSA, "rsa") | {"n": b64((RSA.public_key().public_numbers().n + 1).to_bytes(256)).decode()}
    ),
    "RSA of 8200 bits": key_set(public(RSA, "rsa") | {"n": b64((2**8199 + 1).to_bytes(1025)).decode()}),
    "a kid with half a surrogate pair": key_set(public(EC, "ec")).replace(b'"ec"', b'"\\ud800"'),
    "a kid with a newline": key_set(public(EC, "e\nc")),
    "a kid that no token can name": key_set(public(EC, "e" * 257)),
    "a prime of a secret key alone": key_set(public(RSA, "rsa") | {"qi": "AQAB"}),
    **{
        f"{number} in a key": key_set(public(EC, "ec", more=0)).replace(
            b'"more": 0', f'"more": {number}'.encode()
        )
        for number in ("NaN", "-Infinity", "1e309", "[1.5e999]", "1" * 40)
    },
    **{
        f"{name}: {how}": key_set(key | {name: change(str(key[name]))})
        for key, names in ((public(EC, "ec"), "xy"), (public(RSA, "rsa"), "ne"))
        for name in names
        for how, change in (
            ("padded", padded),
            ("spare bits", with_spare_bits),
            ("a newline after it", "{}\n".format),
            ("a blank before it", " {}".format),
        )
    },
    "x in the standard alphabet": key_set(WITH_DASH | {"x": WITH_DASH["x"].replace("-", "+")}),
    "key_ops that is no list": key_set(public(EC, "ec") | {"key_ops": "verify"}),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_set_with_one_bad_member_is_refused_whole(name: str) -> None:
    """Its publisher made a mistake: the other keys cannot be trusted either."""
    with pytest.raises(InvalidKeySet):
        parse_key_set(UNFIT[name], ALL)


def test_the_keys_of_these_sets_are_good_without_the_change() -> None:
    """The refusals above prove something only if they are accepted as they were."""
    good = key_set(public(EC, "ec", more=0), public(RSA, "rsa"), WITH_DASH | {"kid": "dash"})

    assert set(parse_key_set(good, ALL)) == {"ec", "rsa", "dash"}


def test_keys_for_something_else_are_left_out() -> None:
    """20: a provider publishes keys for all of its clients, of which not all may sign tokens."""
    text = key_set(
        public(EC, "ec"), public(RSA, "enc", use="enc"), public(OTHER_EC, "ops", key_ops=["sign"]), *OF_NO_USE
    )

    assert set(parse_key_set(text, ALL)) == {"ec"}
