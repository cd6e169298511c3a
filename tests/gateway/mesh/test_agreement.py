"""Tests that the rule in `policies/services` and the rendered resources decide every request alike."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.cli.dev.opa_program import find_opa
from gateway.cli.mesh.rule import decide, services_source
from gateway.mesh.evaluation import evaluate, pods_of
from gateway.mesh.reading import MeshError, ServiceCatalog
from gateway.mesh.rendering import Resource, render_all
from gateway.mesh.request import SERVICES_RULE, Request
from gateway.policy.embedded.interpreter import Interpreter
from tests.gateway.mesh.request_matrix import parts_of, requests_to, sample
from tests.gateway.mesh.service_files import catalog, shipped
from tests.opa_fixture import needs_opa

CELLS = 10_000
OTHERS = 200
DECIDED = 20
WAYS = "data.waypost.services.permitting"
SHIPPED = sorted(shipped().services)


def by_istio(services: ServiceCatalog, requests: Sequence[Request]) -> list[bool]:
    """By all resources together, as in a cluster."""
    resources: list[Resource] = [one for several in render_all(services).values() for one in several]
    return [
        evaluate(resources, pods_of(services.services[request.service]), request).allow
        for request in requests
    ]


def by_rule(services: ServiceCatalog, requests: Sequence[Request]) -> list[bool]:
    return [answer.allow for answer in decide(services_source(services), requests)]


def by_ways(services: ServiceCatalog, requests: Sequence[Request]) -> list[bool]:
    """By the ways that let a request in, which the decision counts: a tenth of the work of its reasons."""
    source = services_source(services)
    interpreter = Interpreter(structs.replace(source, entry_points=(*source.entry_points, WAYS)))
    return [
        bool(json.loads(interpreter.evaluate(WAYS, msgspec.json.encode(request)))) for request in requests
    ]


def different(requests: Sequence[Request], one: Sequence[bool], other: Sequence[bool]) -> list[Request]:
    return [
        request for request, first, second in zip(requests, one, other, strict=True) if first is not second
    ]


def place(request: Request) -> tuple[object, ...]:
    """All of a request but its token."""
    return request.port, request.method, request.path, request.workload


@pytest.mark.parametrize("name", SHIPPED)
def test_both_agree_in_what_is_allowed_and_in_near_misses(name: str) -> None:
    """Cells that Istio allows; for each way in those that differ in the token alone; some of all others."""
    services = shipped()
    service, resources = services.services[name], render_all(services)[name]
    every = list(requests_to(name, service))
    allowed: list[Request] = []
    near: dict[str, tuple[object, ...]] = {}
    for cell in sample(every, CELLS):
        if (verdict := evaluate(resources, pods_of(service), cell)).allow:
            allowed.append(cell)
            near.setdefault(verdict.by, place(cell))
    assert len(near) >= len(service.allow)
    misses = [cell for cell in every if place(cell) in near.values()]
    requests = [*sample(allowed, OTHERS), *misses, *sample(every, OTHERS)]
    assert different(requests, by_istio(services, requests), by_ways(services, requests)) == []
    some_of_all = [*sample(allowed, DECIDED), *sample(misses, DECIDED), *sample(every, DECIDED)]
    assert different(some_of_all, by_istio(services, some_of_all), by_rule(services, some_of_all)) == []


BATCH = f"""package waypost.cells

allowed := [decision.allow |
	some cell in input
	decision := {SERVICES_RULE} with input as cell
]
"""


@needs_opa
@pytest.mark.integration
@pytest.mark.parametrize("name", SHIPPED)
def test_both_agree_in_every_cell(name: str, tmp_path: Path) -> None:
    """As OPA decides: thousands of requests, in which every part is as it should be, or near it, or not."""
    services, opa = shipped(), find_opa()
    assert opa is not None
    cells = sample(list(requests_to(name, services.services[name])), CELLS)
    source = services_source(services)
    (tmp_path / "services.rego").write_text(source.modules[0][1])
    (tmp_path / "cells.rego").write_text(BATCH)
    (tmp_path / "data.json").write_text(source.data)
    answer = subprocess.run(
        [
            opa,
            "eval",
            "--strict-builtin-errors",
            "--data",
            tmp_path,
            "--stdin-input",
            "data.waypost.cells.allowed",
        ],
        input=msgspec.json.encode(cells),
        capture_output=True,
        check=True,
    ).stdout
    allowed = json.loads(answer)["result"][0]["expressions"][0]["value"]
    assert len(cells) > 200
    assert different(cells, by_istio(services, cells), allowed) == []


ISSUERS = ["https://a", "https://a/", "https://a/b", "b"]
AUDIENCES = ["x", "https://x", "https://x/", "y"]
WORDS = ["a", "a:b", "A", "a b", ""]
WORKLOADS = ["spiffe://t/ns/a/sa/b", "spiffe://t/ns/a/sa/bb", "spiffe://t/ns/ab/sa/b"]
PATHS = ["/", "/*", "/a", "/a/*", "/a/b", "/ab/", "/a/b/*"]
METHODS = ["GET", "PUT"]


def some(values: Sequence[str], most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


def optional(**ways: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=ways)


def accesses(ports: dict[str, list[int]], issuers: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Returns ways into a service with these ports: by token where it has issuers, by workload, by TCP."""
    kinds = []
    if http := ports.get("http"):
        of_request = {
            "methods": some(METHODS),
            "paths": some(PATHS),
            "ports": st.lists(st.sampled_from(http), min_size=1, unique=True),
        }
        not_needed = {"token": st.just("optional"), "workloads": some(WORKLOADS)}
        kinds.append(st.fixed_dictionaries(not_needed, optional=of_request))
        if issuers:
            kinds.append(
                optional(
                    **of_request,
                    issuers=some([one["issuer"] for one in issuers]),
                    audiences=some(sorted({word for one in issuers for word in one["audiences"]})),
                    scopes=some(["a", "a:b", "A"]),
                    tenants=some(["a", "a:b", "A"]),
                    workloads=some(WORKLOADS),
                )
            )
    if tcp := ports.get("tcp"):
        by_tcp = {"token": st.just("optional"), "workloads": some(WORKLOADS)}
        kinds.append(
            st.fixed_dictionaries(by_tcp | {"ports": st.lists(st.sampled_from(tcp), min_size=1, unique=True)})
        )
    return st.one_of(kinds)


@st.composite
def services(draw: st.DrawFn) -> ServiceCatalog:
    ports = draw(st.sampled_from([{"http": [1, 2]}, {"http": [1], "tcp": [2, 3]}, {"tcp": [3]}]))
    issuers = draw(
        st.lists(
            st.fixed_dictionaries({"issuer": st.sampled_from(ISSUERS), "audiences": some(AUDIENCES)}),
            max_size=3 if "http" in ports else 0,
            unique_by=lambda one: one["issuer"],
        )
    )
    ways = draw(st.lists(accesses(ports, issuers), min_size=1, max_size=3))
    described = {
        "namespace": "n",
        "workload": {"app": "a"},
        "ports": ports,
        "allow": [{"name": f"w{index}", **way} for index, way in enumerate(ways)],
        "tenantClaim": draw(st.sampled_from(["tenant", "org", "https://x/tenant"])),
    }
    if issuers:
        described["issuers"] = [
            one if one["issuer"] != "b" else one | {"jwksUri": "https://b"} for one in issuers
        ]
    try:
        return catalog(s=described)
    except MeshError:
        assume(False)
        raise


def claims_of(tenant_claim: str) -> st.SearchStrategy[dict[str, Any]]:
    word = st.sampled_from([*WORDS, None, 1])
    words = st.one_of(word, st.lists(word, max_size=2))
    parts = {
        "iss": st.sampled_from([*ISSUERS, "c", 1]),
        "sub": st.sampled_from(["a", "a/b", "", 1]),
        "aud": st.one_of(
            st.sampled_from([*AUDIENCES, 1]), st.lists(st.sampled_from([*AUDIENCES, 1]), max_size=2)
        ),
        "scope": words,
        tenant_claim: words,
    }
    return st.fixed_dictionaries({}, optional=parts)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ServiceCatalog, list[Request]]:
    world = draw(services())
    service = world.services["s"]
    paths = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab/", "/abc", "/a?b", "/*"]
    http = st.builds(
        Request,
        service=st.just("s"),
        port=st.sampled_from([*service.ports.http, 9]),
        method=st.sampled_from([*METHODS, "get"]),
        path=st.sampled_from(paths),
        workload=st.sampled_from([*WORKLOADS, None]),
        claims=st.one_of(st.none(), claims_of(service.tenant_claim)),
    )
    tcp = st.builds(
        Request,
        service=st.just("s"),
        port=st.sampled_from(service.ports.tcp or (9,)),
        workload=st.sampled_from([*WORKLOADS, None]),
    )
    parts = parts_of(service)
    near = st.builds(
        Request,
        service=st.just("s"),
        port=st.sampled_from(parts.ports),
        method=st.sampled_from(parts.methods),
        path=st.sampled_from(parts.paths),
        workload=st.sampled_from(parts.workloads),
        claims=st.sampled_from(parts.claims),
    )
    return world, draw(st.lists(st.one_of(near, http, tcp), min_size=30, max_size=30))


@given(worlds())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_agree_about_generated_services(world: tuple[ServiceCatalog, list[Request]]) -> None:
    """Issuers that are beginnings of others, audiences that are equal to proxies, lists in place of texts."""
    described, requests = world
    decisions = by_istio(described, requests)
    assert different(requests, decisions, by_ways(described, requests)) == []
    assert different(requests[:2], decisions[:2], by_rule(described, requests[:2])) == []
