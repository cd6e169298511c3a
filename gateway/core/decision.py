"""A question to policy and its decision: action, obligations, reasons. Values only."""

from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec import UNSET, Struct, UnsetType

from gateway.core.principal import Principal


class Action(StrEnum):
    """The actions that policy is asked about; a rule sees the value as `input.action`."""

    RUNS_SUBMIT = "runs:submit"
    RUNS_PLACE = "runs:place"
    RUNS_READ = "runs:read"
    RUNS_LIST = "runs:list"
    RUNS_CANCEL = "runs:cancel"
    RUNS_RETRY = "runs:retry"
    REGIONS_READ = "regions:read"
    REGIONS_OPERATE = "regions:operate"
    AUDIT_READ = "audit:read"
    EXCEPTIONS_READ = "exceptions:read"
    EXCEPTIONS_ASK = "exceptions:ask"
    EXCEPTIONS_APPROVE = "exceptions:approve"
    EXCEPTIONS_REVOKE = "exceptions:revoke"
    POLICY_READ = "policy:read"
    POLICY_OPERATE = "policy:operate"


class ActionKind(StrEnum):
    """The kind of an action, which determines how policy's permission of it is recorded."""

    READ = "read"
    """Nothing is changed: a permission is recorded if the settings say so."""
    CHANGE = "change"
    """The permission is durable before anything is done."""
    WORK = "work"
    """About a tenant's document: the permission is stored by the change that follows. Exceptions count."""


def kind_of(action: Action) -> ActionKind:
    """The kind of an action. An action that is forgotten here does not pass mypy."""
    match action:
        case Action.RUNS_SUBMIT | Action.RUNS_PLACE | Action.RUNS_RETRY:
            return ActionKind.WORK
        case (
            Action.RUNS_CANCEL
            | Action.REGIONS_OPERATE
            | Action.EXCEPTIONS_ASK
            | Action.EXCEPTIONS_APPROVE
            | Action.EXCEPTIONS_REVOKE
            | Action.POLICY_OPERATE
        ):
            return ActionKind.CHANGE
        case (
            Action.RUNS_READ
            | Action.RUNS_LIST
            | Action.REGIONS_READ
            | Action.AUDIT_READ
            | Action.EXCEPTIONS_READ
            | Action.POLICY_READ
        ):
            return ActionKind.READ
        case _:
            assert_never(action)


class Level(StrEnum):
    """The enforcement level of a policy rule; `levels` in the bundle's data has it, by the rule's id."""

    HARD = "hard"
    """It refuses, whatever else there is. That is the level of every rule for which none is named."""
    SOFT = "soft"
    """It refuses unless an exception was approved."""
    ADVISORY = "advisory"
    """It warns."""


class Reason(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A reason of a refusal: the rule's id (stable, such as `image.banned`) and a sentence for people."""

    rule: str
    message: str
    level: Level = Level.HARD
    exception: str = ""
    """The id of the policy exception that overrides it; empty: none does."""


class Obligations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits and changes that policy sets for work that it allows. None: policy sets no such limit."""

    regions: tuple[str, ...] = ()
    """The regions where the work may run; empty: nowhere."""
    max_priority: int | None = None
    max_shards: int | None = None
    max_deadline_seconds: float | None = None
    max_open_runs: int | None = None
    """How many runs of the tenant may be open at once; likewise shards, and tasks of all their shards."""
    max_open_shards: int | None = None
    max_open_tasks: int | None = None
    requests_per_second: float | None = None
    """How many requests a second the tenant may make to this gateway."""
    weight: float | None = None
    """The tenant's weight wherever tenants take turns: its turns for each turn of a tenant of weight 1."""
    side_effects: str | None = None
    labels: dict[str, str] = {}
    tenants: tuple[str, ...] | None = None
    """The tenants whose runs the caller may see, in lists. `*`: all; None: the caller's own."""
    warnings: tuple[str, ...] = ()
    approvals: int | None = None
    """How many other people must approve a step with a policy bundle before it is taken."""
    mask: tuple[str, ...] = ()
    """JSON pointers into the rules' input whose values the record of the decision must not hold."""


TOO_OLD: Final = "the policy bundle in force is older than it may be (policy.bundle_maximum_age_seconds)"
"""The fault of a decision that is not made since nobody has renewed the rules; callers may see it."""


class Question(Struct, frozen=True, kw_only=True):
    """A question to policy, with everything that policy may look at: a replay gives the same answer.

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
    """The trace of the request that asked; the rules do not see it. Empty: the gateway asked by itself."""
    digest: str = ""
    """SHA-256 of the document as it was submitted, where `workflow` may differ from it; hexadecimal."""


class Decision(Struct, frozen=True, kw_only=True):
    """Policy's answer to one question: whether the action is allowed, by which rules, with which obligations.

    It is stored under its `id`, by which runs and their history refer to it.
    """

    id: str
    at: float
    """When policy was asked, in wall-clock seconds since 1970."""
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
    """Why the engine could not answer; then `allow` is False. Empty where it could."""
    duration_seconds: float = 0.0
    """How long the evaluation took."""
    engine_decision_id: str = ""
    """OPA's own id, where it logs decisions; those that were asked together share it. Empty: it has none."""
    question: Question | UnsetType = UNSET
    """What was asked, as far as policy lets it be recorded; unset where it is not to be seen."""
