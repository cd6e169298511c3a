"""The data types of policy evaluation: `Question` (a query to policy) and `Decision` (its answer)."""

from enum import StrEnum
from functools import cache
from typing import Any, Final, assert_never

from msgspec import UNSET, Struct, UnsetType

from gateway.core.principal import Principal


class Action(StrEnum):
    """An action on the API that policy is asked to allow, such as submitting a run. Rego: `input.action`."""

    RUNS_SUBMIT = "runs:submit"
    RUNS_PLACE = "runs:place"
    RUNS_READ = "runs:read"
    RUNS_LIST = "runs:list"
    RUNS_CANCEL = "runs:cancel"
    RUNS_RETRY = "runs:retry"
    REGIONS_READ = "regions:read"
    REGIONS_OPERATE = "regions:operate"
    ROUTING_OPERATE = "routing:operate"
    AUDIT_READ = "audit:read"
    RETENTION_OPERATE = "retention:operate"
    EXCEPTIONS_READ = "exceptions:read"
    EXCEPTIONS_ASK = "exceptions:ask"
    EXCEPTIONS_APPROVE = "exceptions:approve"
    EXCEPTIONS_REVOKE = "exceptions:revoke"
    RELEASES_READ = "releases:read"
    RELEASES_OPERATE = "releases:operate"
    POLICY_READ = "policy:read"
    POLICY_OPERATE = "policy:operate"


class ActionKind(StrEnum):
    """The kind of an API action: a read, a change, or work for a tenant."""

    READ = "read"
    """An action that changes nothing: its permission is recorded only if the settings say so."""
    CHANGE = "change"
    """An action that changes something: its permission is stored durably before the action is carried out."""
    WORK = "work"
    """An action on a tenant's workflow: its permission is stored by the change that follows.

    Policy exceptions apply to these actions only.
    """


@cache
def kind_of(action: Action) -> ActionKind:
    """Returns the `ActionKind` of an API action: a read, a change, or work for a tenant.

    mypy reports an action that has no kind here.
    """
    match action:
        case Action.RUNS_SUBMIT | Action.RUNS_PLACE | Action.RUNS_RETRY:
            return ActionKind.WORK
        case (
            Action.RUNS_CANCEL
            | Action.REGIONS_OPERATE
            | Action.ROUTING_OPERATE
            | Action.RETENTION_OPERATE
            | Action.EXCEPTIONS_ASK
            | Action.EXCEPTIONS_APPROVE
            | Action.EXCEPTIONS_REVOKE
            | Action.RELEASES_OPERATE
            | Action.POLICY_OPERATE
        ):
            return ActionKind.CHANGE
        case (
            Action.RUNS_READ
            | Action.RUNS_LIST
            | Action.REGIONS_READ
            | Action.AUDIT_READ
            | Action.EXCEPTIONS_READ
            | Action.RELEASES_READ
            | Action.POLICY_READ
        ):
            return ActionKind.READ
        case _:
            assert_never(action)


class Level(StrEnum):
    """The level of a policy rule: it always refuses, refuses unless an exception is in force, or only warns.

    The policy bundle's data name the level of each rule, by its id.
    """

    HARD = "hard"
    """The rule refuses, and no policy exception overrides it. This is the default level of a rule."""
    SOFT = "soft"
    """The rule refuses unless a policy exception was approved."""
    ADVISORY = "advisory"
    """The rule only adds a warning; it refuses nothing."""


class Reason(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One reason why policy refused: the id of the rule (such as `image.banned`), and a sentence."""

    rule: str
    message: str
    level: Level = Level.HARD
    exception: str = ""
    """The id of the policy exception that overrides the rule; empty if no exception does."""


class Obligations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits and changes that a policy decision sets for the work that it allows. None: no limit."""

    regions: tuple[str, ...] = ()
    """The regions where the work may run; empty: nowhere."""
    max_priority: int | None = None
    max_shards: int | None = None
    max_deadline_seconds: float | None = None
    max_open_runs: int | None = None
    """The most runs of the tenant that may be open at once; likewise shards, and tasks of all shards."""
    max_open_shards: int | None = None
    max_open_tasks: int | None = None
    requests_per_second: float | None = None
    """The most requests per second that the tenant may make to this gateway."""
    weight: float | None = None
    """The tenant's weight wherever tenants take turns: its turns for each turn of a tenant of weight 1."""
    semaphores: dict[str, int] = {}
    """The most places that the tenant's semaphores of these names may have."""
    side_effects: str | None = None
    labels: dict[str, str] = {}
    tenants: tuple[str, ...] | None = None
    """The tenants whose runs the caller may see, in lists. `*`: all; None: the caller's own.

    In the list of regions `*` permits the names of those who have cordoned them.
    """
    warnings: tuple[str, ...] = ()
    approvals: int | None = None
    """The number of other people who must approve a change of a policy bundle's rollout before it is made."""
    mask: tuple[str, ...] = ()
    """JSON pointers into the rules' input whose values the record of the decision must not hold."""


TOO_OLD: Final = "the policy bundle in force is older than it may be (policy.bundle_maximum_age_seconds)"
"""The fault text of decisions that are refused since the policy bundle is too old; callers may see it."""


class Question(Struct, frozen=True, kw_only=True):
    """A query to the policy engine: the action, the caller, and all other input of the Rego rules.

    The same question evaluated again gives the same answer.

    `workflow` is the canonical JSON of the checked document (what will run, not what was sent), or None.
    `context` holds facts of the region, and the run that is acted upon. `at` is in wall-clock seconds since
    1970.
    """

    action: Action
    principal: Principal
    at: float
    workflow: bytes | None = None
    context: dict[str, Any] = {}
    trace_id: str = ""
    """The trace id of the request that caused the question; empty if the gateway asked by itself."""
    digest: str = ""
    """The SHA-256 of the submitted document in hexadecimal, where `workflow` may differ from it."""


class Decision(Struct, frozen=True, kw_only=True):
    """Policy's answer to one query: whether it allows the action, by which rules, under which limits.

    It is stored under its `id`, to which runs and history entries refer.
    """

    id: str
    at: float
    """The time at which policy was asked, in wall-clock seconds since 1970."""
    action: Action
    allow: bool
    revision: str
    engine: str
    rules: tuple[str, ...] = ()
    """Ids of the rules that decided: those that refused, or those that allowed.

    With reasons, where it is allowed: those that would refuse, but only warn or are overridden.
    """
    reasons: tuple[Reason, ...] = ()
    obligations: Obligations = Obligations()
    fault: str = ""
    """The reason why the policy engine could not answer; then `allow` is False. Empty if it answered."""
    duration_seconds: float = 0.0
    """The duration of the policy evaluation, in seconds."""
    engine_decision_id: str = ""
    """OPA's own decision id, if OPA logs decisions; the questions of one batch share it. Empty: none."""
    question: Question | UnsetType = UNSET
    """The question, as far as policy lets it be recorded; unset where it must not be seen."""
