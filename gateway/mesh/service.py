"""The types of a service file: services in an Istio mesh, and who may reach each.

A file is a mapping of names to `Service`. OPA loads the same files as `data.services`, and the rule in
`policies/services` decides by them: so a field that is left out stays absent, and null is never permitted.
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.documents.workflow import DnsLabel

END: Final = r"$(?!\n)"
"""Matches the end of the text alone; `$` would match before a newline at the end too."""
LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"

LabelName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{LABEL}{END}",
        description="the name of a label, with or without a prefix: app, example.com/team",
    ),
]
LabelValue: TypeAlias = Annotated[
    str, Meta(pattern=f"^{LABEL}{END}", description="the value of a label: letters, digits, dots and dashes")
]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Word: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[^\s*]{{1,256}}{END}",
        description="one word, written out: no spaces, and no *, which would match anything",
    ),
]
IssuerName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[^\s*]{{1,512}}{END}",
        description="the `iss` of its tokens, letter by letter: no spaces and no *",
    ),
]
HttpsUrl: TypeAlias = Annotated[
    str, Meta(pattern=rf"^https://[^\s*]{{1,512}}{END}", description="a URL that begins with https://")
]
Method: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Z][A-Z-]{{0,31}}{END}",
        description="an HTTP method in capitals, as GET: proxies compare letter by letter",
    ),
]
SEGMENT: Final = rf"/(?!\.{{1,2}}(/|{END}))[A-Za-z0-9._~!$&'()+,=:@-]+"
PathPattern: TypeAlias = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=rf"^({SEGMENT})+(/\*?)?{END}|^/\*?{END}",
        description="a path as proxies see it, /a/b, or all below one, /a/b/*: "
        "no query, no %, no .., no // and no other *",
    ),
]
WorkloadIdentity: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^spiffe://[a-z0-9]([a-z0-9.-]{{0,253}}[a-z0-9])?/ns/[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?"
        rf"/sa/[a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?{END}",
        description="the identity of a workload: spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT",
    ),
]
Claim: TypeAlias = Annotated[
    str,
    Meta(pattern=rf"^[^\s*\[\]]{{1,256}}{END}", description="the name of a claim: no spaces, * or brackets"),
]

OPTIONAL: Final = "optional"
"""The value of an access's `token` where the workload's identity is enough."""
DEFAULT_TENANT_CLAIM: Final = "tenant"


class Ports(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ports of a service's pods, by what is spoken there: `http` (also HTTP/2 and gRPC) or `tcp`."""

    http: tuple[Port, ...] = ()
    tcp: tuple[Port, ...] = ()


class TokenIssuer(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An issuer whose tokens the service takes, and for which audiences they must be."""

    issuer: IssuerName
    audiences: Annotated[tuple[Word, ...], Meta(min_length=1, description="The token is for one of these.")]
    jwks_uri: Annotated[
        HttpsUrl | UnsetType,
        Meta(description="Where its keys are. Absent: found from the issuer, by OpenID discovery."),
    ] = UNSET


class Access(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One way to be let in: every field that is there must fit the request. Of a list, one value must.

    Of `scopes` the token must have all.
    """

    name: Annotated[DnsLabel, Meta(description="What decisions call it.")]
    token: Annotated[
        Literal["required", "optional"],
        Meta(description="`optional`: a workload's identity is enough, and `workloads` must be there."),
    ] = "required"  # noqa: S105  # the word, no token
    issuers: Annotated[
        Annotated[tuple[IssuerName, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="Of the service's issuers only these. Absent: all."),
    ] = UNSET
    audiences: Annotated[
        Annotated[tuple[Word, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="Of the issuer's audiences only these. Absent: all."),
    ] = UNSET
    scopes: Annotated[
        Annotated[tuple[Word, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="The token has all of these."),
    ] = UNSET
    tenants: Annotated[
        Annotated[tuple[Word, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="The token's tenant is one of these."),
    ] = UNSET
    workloads: Annotated[
        Annotated[tuple[WorkloadIdentity, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="The calling workload is one of these."),
    ] = UNSET
    methods: Annotated[
        Annotated[tuple[Method, ...], Meta(min_length=1)] | UnsetType, Meta(description="HTTP methods.")
    ] = UNSET
    paths: Annotated[
        Annotated[tuple[PathPattern, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="Paths, or all below one: /a/*."),
    ] = UNSET
    ports: Annotated[
        Annotated[tuple[Port, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="Absent: the service's HTTP ports; of a service without any, its TCP ports."),
    ] = UNSET


class Service(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A service in the mesh: which pods it has, and who may reach them. Nobody else may."""

    namespace: DnsLabel
    workload: Annotated[
        dict[LabelName, LabelValue], Meta(min_length=1, description="The labels by which its pods are found.")
    ]
    ports: Ports
    allow: Annotated[
        tuple[Access, ...], Meta(min_length=1, description="The ways to be let in; one is enough.")
    ]
    issuers: Annotated[
        Annotated[tuple[TokenIssuer, ...], Meta(min_length=1)] | UnsetType,
        Meta(description="Whose tokens are taken. A token of anybody else is refused."),
    ] = UNSET
    tenant_claim: Claim = DEFAULT_TENANT_CLAIM
    """The claim of a token that has its tenant."""
    forward_token: Annotated[
        bool, Meta(description="Whether the service itself gets the token, or its proxy alone.")
    ] = False


def ports_of(service: Service, access: Access) -> tuple[int, ...]:
    """Returns the ports of `service` that `access` lets in to."""
    return access.ports or service.ports.http or service.ports.tcp


def issuers_of(service: Service, access: Access) -> tuple[TokenIssuer, ...]:
    """Returns the issuers of `service` whose tokens `access` takes; none where it needs no token."""
    if access.token == OPTIONAL:
        return ()
    return tuple(one for one in service.issuers or () if not access.issuers or one.issuer in access.issuers)
