"""Renders who may reach a service into Istio's resources, and decides the same for one request.

`service` has the types of a service file, `reading` reads files and `checks` finds what types cannot express.
`rendering` makes RequestAuthentication, AuthorizationPolicy and PeerAuthentication; `regions` makes the
DestinationRule between regional ingress gateways. `hazards` finds what in Istio's resources does something
other than it seems; `evaluation` decides a `request` by such resources, `matrix` makes many requests to
compare that with the rule in `policies/services`. `drift` compares resources with each other.

Pure: no I/O, clock or chance. Imports the parsers of `gateway.documents`, `gateway.core` and `waypost`.
"""
