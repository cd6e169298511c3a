"""Compares what is rendered with what is there: files of a folder, or a cluster's live objects."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gateway.mesh.evaluation import Pods
from gateway.mesh.manifest import MARK, dump
from gateway.mesh.rendering import MANAGED_BY, SOURCE, Resource


class Difference(Struct, frozen=True, kw_only=True):
    """One file or object that is not as rendered; `diff` leads from what is there to what is rendered."""

    name: str
    change: Literal["missing", "changed", "left over", "lets in too", "hazard"]
    diff: str = ""


def compare_files(rendered: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Difference]:
    """Yields the differences between the `rendered` files and those that were `found`, by name.

    A file that is found in addition counts only if a rendering has made it.
    """
    for name, text in sorted(rendered.items()):
        if name not in found:
            yield Difference(name=name, change="missing")
        elif found[name] != text:
            yield Difference(name=name, change="changed", diff=_diff(name, found[name], text))
    for name in sorted(found.keys() - rendered.keys()):
        if found[name].startswith(MARK):
            yield Difference(name=name, change="left over")


def compare_objects(rendered: Sequence[Resource], live: Sequence[Resource]) -> Iterator[Difference]:
    """Yields the differences between `rendered` resources and the `live` objects of a cluster.

    A live object in addition counts only if it has the label of rendered ones. What a cluster adds to
    metadata and status is not compared.
    """
    found = {name_of(one): one for one in live}
    for resource in rendered:
        name = name_of(resource)
        if name not in found:
            yield Difference(name=name, change="missing")
            continue
        there, wanted = dump(_comparable(found.pop(name))), dump(_comparable(resource))
        if there != wanted:
            yield Difference(name=name, change="changed", diff=_diff(name, there, wanted))
    for name, one in sorted(found.items()):
        if is_managed(one):
            yield Difference(name=name, change="left over")


def find_others(live: Sequence[Resource], pods: Mapping[str, Pods]) -> Iterator[Difference]:
    """Yields the `live` objects of somebody else that let in to the `pods` of a service too, by its name.

    Whatever Git says: Istio lets in by every policy that allows, and takes tokens of every issuer.
    """
    for one in live:
        allows = (one.get("spec") or {}).get("action", "ALLOW") == "ALLOW"
        if is_managed(one) or not (one["kind"] == "RequestAuthentication" or (_is_policy(one) and allows)):
            continue
        for service, of in pods.items():
            if of.are_selected_by(one):
                yield Difference(
                    name=name_of(one), change="lets in too", diff=f"it selects the pods of {service}"
                )


def _is_policy(resource: Resource) -> bool:
    return bool(resource["kind"] == "AuthorizationPolicy")


def name_of(resource: Resource) -> str:
    """Returns the name of an object for people: `AuthorizationPolicy finance/ledger`."""
    metadata = resource.get("metadata") or {}
    return f"{resource['kind']} {metadata.get('namespace', 'default')}/{metadata.get('name', '?')}"


def is_managed(resource: Resource) -> bool:
    """Returns whether the object has the label that rendered resources have."""
    labels = (resource.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(MANAGED_BY) == "waypost")


def _comparable(resource: Resource) -> Resource:
    metadata = resource["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return {
        "kind": resource["kind"],
        "managed-by": labels.get(MANAGED_BY),
        "source": annotations.get(SOURCE),
        "spec": _sorted(resource.get("spec") or {}),
    }


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _diff(name: str, there: str, wanted: str) -> str:
    lines = difflib.unified_diff(
        there.splitlines(), wanted.splitlines(), f"{name} (there)", f"{name} (rendered)", lineterm=""
    )
    return "\n".join(lines)
