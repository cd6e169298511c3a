"""Reads Istio's resources from a cluster, over its API, with lightkube (the extra `kubernetes`)."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from yaml import YAMLError

from gateway.cli.errors import CliError, Exit
from gateway.cli.mesh.folders import Rendering
from gateway.mesh.drift import Difference, compare_objects, find_others, is_managed, name_of
from gateway.mesh.evaluation import pods_of
from gateway.mesh.hazards import KINDS, find_hazards
from gateway.mesh.rendering import Resource

PLURALS: Final = {
    "security.istio.io/v1": {
        "AuthorizationPolicy": "authorizationpolicies",
        "PeerAuthentication": "peerauthentications",
        "RequestAuthentication": "requestauthentications",
    },
    "networking.istio.io/v1": {
        "DestinationRule": "destinationrules",
        "ServiceEntry": "serviceentries",
    },
}
"""The kinds that are rendered, with their names in URLs, by their group and version."""


def live_differences(made: Rendering, *, context: str | None, root_namespace: str) -> list[Difference]:
    """Compares what is rendered with the cluster of `context`: its objects, and those of others there.

    Raises `CliError` where it cannot be read.
    """
    namespaces = {one["metadata"]["namespace"] for one in made.resources}
    kinds = {*KINDS, *(one["kind"] for one in made.resources)}
    live = live_objects({*namespaces, root_namespace}, kinds, context=context)
    pods = {name: pods_of(service) for name, service in made.catalog.services.items()}
    selecting = [
        one for one in live if is_managed(one) or any(of.are_selected_by(one) for of in pods.values())
    ]
    tcp_ports = frozenset(port for of in pods.values() for port in of.tcp_ports)
    hazards = find_hazards(selecting, tcp_ports=tcp_ports, root_namespace=root_namespace)
    theirs = {name_of(one) for one in selecting if not is_managed(one)}
    return [
        *compare_objects(made.resources, live),
        *find_others(live, pods),
        *(
            Difference(name=one.resource, change="hazard", diff=f"{one.pointer}: {one.hazard}: {one.detail}")
            for one in hazards
            if one.resource in theirs
        ),
    ]


def live_objects(
    namespaces: Collection[str], kinds: Collection[str], *, context: str | None
) -> list[Resource]:
    """Returns the objects of `kinds` in `namespaces`, of the cluster of the kubeconfig's `context`.

    Raises `CliError` where the cluster cannot be reached, or has not the types, or does not permit it.
    """
    lightkube = _lightkube()
    with _client(lightkube, context) as client:
        return [
            one
            for group, plurals in PLURALS.items()
            for kind, plural in plurals.items()
            if kind in kinds
            for one in _listed(lightkube, client, group, kind, plural, sorted(namespaces))
        ]


def _lightkube() -> ModuleType:
    try:
        import lightkube.generic_resource  # noqa: PLC0415  # an extra, which only --live needs
    except ImportError as error:
        hint = "python -m pip install 'waypost[kubernetes]'"
        raise CliError(f"--live needs lightkube: {hint}", code=Exit.USAGE) from error
    return lightkube


@contextmanager
def _client(lightkube: ModuleType, context: str | None) -> Iterator[Any]:
    """Opens a client of the cluster of `context`, as kubectl would; its errors become `CliError`."""
    config = _configuration(lightkube, context)
    try:
        with lightkube.Client(config=config) as client:
            yield client
    except lightkube.ConfigError as error:
        raise CliError(f"the kubeconfig cannot be used: {error}", code=Exit.USAGE) from error
    except lightkube.ApiError as error:
        code = Exit.REFUSED if error.status.code in (401, 403) else Exit.FAILED
        raise CliError(f"the cluster refuses: {error.status.message}", code=code) from error
    except _transport_errors() as error:
        raise CliError(f"the cluster does not answer: {error}", code=Exit.UNAVAILABLE) from error


def _configuration(lightkube: ModuleType, context: str | None) -> Any:
    # lightkube 1.0.1 raises what comes up where a kubeconfig is no mapping, or lacks a part.
    faults = (lightkube.ConfigError, KeyError, TypeError, AttributeError, ValueError, YAMLError, OSError)
    try:
        return lightkube.KubeConfig.from_env().get(context_name=context)
    except faults as error:
        detail = " ".join(str(error).split())[:200]
        raise CliError(f"the kubeconfig cannot be used: {detail}", code=Exit.USAGE) from error


def _transport_errors() -> tuple[type[Exception], ...]:
    import httpx2  # noqa: PLC0415  # comes with lightkube

    return (httpx2.TransportError,)


def _listed(
    lightkube: ModuleType, client: Any, group: str, kind: str, plural: str, namespaces: Sequence[str]
) -> Iterator[Resource]:
    made = lightkube.generic_resource
    resource = made.get_generic_resource(group, kind)
    if resource is None:
        name, version = group.split("/")
        resource = made.create_namespaced_resource(name, version, kind, plural)
    for namespace in namespaces:
        for one in client.list(resource, namespace=namespace):
            yield dict(one.to_dict()) | {"apiVersion": group, "kind": kind}
