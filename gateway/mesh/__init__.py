"""Renders who may reach a service into Istio's resources, and decides the same for one request.

`service` has the types of a service file, `reading` reads files and `checks` finds what types cannot express.
`rendering` makes RequestAuthentication, AuthorizationPolicy and PeerAuthentication, `manifest` writes and
reads them as YAML, `drift` compares them with what is there. `evaluation` decides a `request` by resources as
Istio's proxies do (`policy_rules` one rule, `matching` one value); `matrix` makes many requests, to compare
that with the rule in `policies/services`. `hazards` (`rule_hazards`) finds in any resources what lets in more
than it seems to. `regions` renders one host for the ingress gateways of several regions.

Pure: no I/O, clock or chance. Imports the parsers of `gateway.documents`, `gateway.core` and `waypost`.
"""
