"""The policy engine that asks an OPA over HTTP or a Unix socket, and the feed of bundles to that OPA.

`engine` answers questions; an unclear answer is a refusal. `client` is OPA's Python client, made strict;
`address` parses the address of the OPA, `reply` parses its answers, `batches` asks several questions in one
call. `bundle_archive` packs rules as OPA loads them, `bundle_signature` signs and verifies archives, and
`bundle_feed` keeps the newest good one for OPA to fetch. `factory` makes engine and feed from settings.

Imports the engine-neutral modules of `gateway.policy`. `gateway.composition.policy` builds it;
`gateway.policy.rollout`, `gateway.cli` and the routes in `gateway.api` that serve the feed handle bundles
with it.
"""
