"""Renders the ingress gateways of several regions as one host: the nearest serves, and others when it fails.

A ServiceEntry says where they are, a DestinationRule how one that fails is found and who takes over. Istio
fails over only where outlier detection finds failing gateways, so it is always there.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.documents.schema_errors import field_error, schema_errors
from gateway.documents.workflow import DnsLabel
from gateway.mesh.reading import MeshError, Problem, fault_of_name, read_mapping
from gateway.mesh.rendering import Resource, metadata
from gateway.mesh.service import END, Port
from waypost.json_pointer import FieldError, below

NETWORKING: Final = "networking.istio.io/v1"
SYSTEM_ROOTS: Final = "system"
"""Istio's word for the roots of a proxy's system; written out, as older versions verify nothing without."""
PART: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

HostName: TypeAlias = Annotated[
    str, Meta(max_length=253, pattern=rf"^{PART}(\.{PART})+{END}", description="the name of a host, in full")
]
Locality: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{PART}(/{PART}){{0,2}}{END}",
        description="a locality, REGION/ZONE/SUBZONE, as nodes of Kubernetes are labelled",
    ),
]


class Outliers(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """When a gateway is taken out, and for how long: Istio's outlier detection."""

    consecutive_errors: Annotated[int, Meta(ge=1, le=1000, description="So many 5xx in a row.")] = 5
    interval_seconds: Annotated[int, Meta(ge=1, le=3600, description="Between two looks.")] = 5
    ejection_seconds: Annotated[int, Meta(ge=1, le=3600, description="The first time; later longer.")] = 30
    maximum_ejection_percent: Annotated[int, Meta(ge=1, le=100, description="Of all gateways.")] = 100


class IngressGateway(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The ingress gateway of one region."""

    region: DnsLabel
    address: HostName
    locality: Locality
    port: Port = 443
    failover: Annotated[
        DnsLabel | UnsetType, Meta(description="The region that takes over. Absent: all others, equally.")
    ] = UNSET


class RegionalHost(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A host that has an ingress gateway in each of several regions.

    Callers in the mesh speak HTTP to `host` and `port`; their proxies speak TLS to a gateway.
    """

    namespace: DnsLabel
    host: HostName
    gateways: Annotated[tuple[IngressGateway, ...], Meta(min_length=2)]
    port: Port = 80
    tls: Annotated[
        Literal["simple", "istio"],
        Meta(description="`simple`: the gateways have certificates for `host`; `istio`: those of the mesh."),
    ] = "simple"
    ca_certificates: Annotated[
        str,
        Meta(
            pattern=rf"^(system|/[^\s]{{1,255}}){END}",
            description="for `simple`: a file with roots in callers' proxies, or `system`: their own",
        ),
    ] = SYSTEM_ROOTS
    outliers: Outliers = msgspec.field(default_factory=Outliers)


def read_regions(file: str, content: bytes) -> dict[str, RegionalHost]:
    """Reads the file of regional hosts. Raises `MeshError` with all problems."""
    value, errors = read_mapping(content)
    hosts: dict[str, RegionalHost] = {}
    for name, described in () if errors else value.items():
        at = below("", name)
        if fault := fault_of_name(name):
            errors.append(FieldError(at, fault))
            continue
        try:
            hosts[name] = msgspec.convert(described, RegionalHost)
        except msgspec.ValidationError as error:
            errors += schema_errors(described, RegionalHost, at) or [field_error(error, at)]
        else:
            errors += [FieldError(at + error.pointer, error.detail) for error in _check(hosts[name])]
    if errors:
        raise MeshError(sorted(Problem(file, error.pointer, error.detail) for error in errors))
    return hosts


def _check(host: RegionalHost) -> Iterator[FieldError]:
    """Yields what types cannot express: regions that are there twice, and failovers that Istio refuses."""
    localities = {one.region: _first(one.locality) for one in host.gateways}
    if len(localities) < len(host.gateways):
        yield FieldError("/gateways", "has a region twice")
    targets: dict[str, str] = {}
    for index, one in enumerate(host.gateways):
        if not one.failover:
            continue
        at, here = below("/gateways", index, "failover"), _first(one.locality)
        if one.failover not in localities:
            yield FieldError(at, f"{one.failover} is no region here: there are {', '.join(localities)}")
        elif localities[one.failover] == here:
            yield FieldError(at, f"is in {here} too, the same locality: Istio fails over between localities")
        elif targets.setdefault(here, localities[one.failover]) != localities[one.failover]:
            yield FieldError(at, f"leads from {here} to another locality than that of another gateway there")


def _first(locality: str) -> str:
    return locality.partition("/")[0]


def render_regions(name: str, host: RegionalHost, *, source: str) -> list[Resource]:
    """Renders one regional host. `source` is the file that it is in."""
    return [
        _resource("ServiceEntry", name, host, _entry(host), source),
        _resource("DestinationRule", name, host, _rule(host), source),
    ]


def _resource(kind: str, name: str, host: RegionalHost, spec: Resource, source: str) -> Resource:
    return {
        "apiVersion": NETWORKING,
        "kind": kind,
        "metadata": metadata(name, host.namespace, source),
        "spec": spec,
    }


def _entry(host: RegionalHost) -> Resource:
    endpoints = [
        {"address": one.address, "locality": one.locality, "ports": {"http": one.port}}
        for one in host.gateways
    ]
    return {
        "hosts": [host.host],
        "location": "MESH_EXTERNAL" if host.tls == "simple" else "MESH_INTERNAL",
        "ports": [{"number": host.port, "name": "http", "protocol": "HTTP"}],
        "resolution": "DNS",
        "endpoints": endpoints,
    }


def _rule(host: RegionalHost) -> Resource:
    localities = {one.region: _first(one.locality) for one in host.gateways}
    failover = {
        _first(one.locality): {"from": _first(one.locality), "to": localities[one.failover]}
        for one in host.gateways
        if one.failover
    }
    locality: dict[str, Any] = {"enabled": True} | ({"failover": [*failover.values()]} if failover else {})
    simple = {
        "mode": "SIMPLE",
        "caCertificates": host.ca_certificates,
        "sni": host.host,
        "subjectAltNames": [host.host],
    }
    return {
        "host": host.host,
        "trafficPolicy": {
            "tls": simple if host.tls == "simple" else {"mode": "ISTIO_MUTUAL", "sni": host.host},
            "outlierDetection": {
                "consecutive5xxErrors": host.outliers.consecutive_errors,
                "consecutiveGatewayErrors": host.outliers.consecutive_errors,
                "interval": f"{host.outliers.interval_seconds}s",
                "baseEjectionTime": f"{host.outliers.ejection_seconds}s",
                "maxEjectionPercent": host.outliers.maximum_ejection_percent,
            },
            "loadBalancer": {"simple": "LEAST_REQUEST", "localityLbSetting": locality},
        },
    }
