"""The policy engine of record, which asks an OPA over HTTP or a Unix socket; an unclear answer is a refusal.

`engine` answers questions. `client` is the OPA client of the outside, made strict; `address` reads where OPA
is, `reply` what it answers, `batches` asks several questions in one call.
`bundle_archive` packs rules as OPA loads them, `bundle_signature` signs and verifies that, and `bundle_feed`
keeps the newest good one for OPA to fetch. `factory` makes engine and feed from settings.

Imports the engine-neutral modules of `gateway.policy`. `gateway.policy_composition` puts it to work;
`gateway.policy.rollout`, `gateway.cli` and what serves the feed in `gateway.api` handle bundles with it.
"""
