"""Tests the signature vectors of C2SP Wycheproof: valid ones verify, invalid ones do not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.jws_parsing import TokenRejected, decode_segments
from gateway.identity.jwt_verification import check_signature
from gateway.identity.key_parsing import InvalidKeySet, parse_key_set

ROOT = Path(__file__).parents[3]
VECTORS = (
    Path(os.environ.get("WAYPOST_SHARED", ROOT.parent / "shared"))
    / "data"
    / "wycheproof"
    / "json_web_signature_test.json"
)
STRICTER = {346, 347, 350, 351, 372, 373}
"""The vectors that are valid by the standard but refused by a strict verifier; see the data's README."""
MISLABELLED = {367, 370}
ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "EdDSA")


def accepted(group: dict[str, Any], presented: str) -> bool:
    """Returns whether a token verifies as in production: strict parsing, key checks, algorithm, signature."""
    try:
        head, _, _ = decode_segments(presented.encode())
        header = json.loads(head)
        keys = parse_key_set(json.dumps({"keys": [{**group["public"], "kid": "k"}]}).encode(), ALGORITHMS)
        key, fitting = keys["k"]
        if header.get("alg") not in fitting:
            return False
        check_signature(presented.encode(), key, header["alg"])
    except (TokenRejected, InvalidKeySet, KeyError, ValueError):
        return False
    return True


def test_every_vector_for_keys_that_we_take_is_judged_rightly() -> None:
    """Symmetric keys and algorithms that issuers may not use here are left out."""
    if not VECTORS.exists():
        pytest.skip(f"no vectors in {VECTORS.relative_to(ROOT.parent)}")
    groups = [
        group
        for group in json.loads(VECTORS.read_text())["testGroups"]
        if group.get("public", {}).get("kty") in ("EC", "RSA")
    ]
    wrong, right = [], 0
    for group in groups:
        usable = group["public"].get("alg") in (*ALGORITHMS, None)
        for case in (
            case for case in group["tests"] if ".." not in case["jws"]
        ):  # a token without claims is none
            found = accepted(group, case["jws"])
            good = found == (case["result"] == "valid") or (
                not found and (case["tcId"] in STRICTER or not usable)
            )
            right += good
            if not good and case["tcId"] not in MISLABELLED:
                wrong.append((case["tcId"], case["comment"], case["result"], found))
    assert wrong == []
    assert right > 100
