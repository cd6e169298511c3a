"""Authentication: verifies access tokens (JWT) and converts their claims to a `Principal`, the caller.

`jwt_verification` has the authenticator, which goes through the steps: `jws_parsing` decodes the token
strictly, `claims` checks what it says, `key_set_cache` holds each issuer's JWKS, which `key_parsing` reads.
`strict_decoding` reads JSON and base64url for all of them; `issuer_checks` is run at the start.
`unknown_callers` limits the rate of requests without a verified token, by address. `development_issuer` makes
tokens for a gateway that was started with `--dev`. `interface` is what other packages import.

Imports `gateway.core`, `gateway.settings` and `waypost`; knows no request, policy or store.
"""
