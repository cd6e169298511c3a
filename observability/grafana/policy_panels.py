"""Dashboard panels about policy and trust: decisions, refusals, policy bundles, keys, audit trail."""

from typing import Final

from observability.grafana.panel import Panel, p99, rate

POLICY: Final = (
    Panel(
        title="Decisions",
        text="A second, by outcome. Unanswered: callers get 503.",
        lines=((rate("waypost_decisions_total", "outcome"), "{{outcome}}"),),
        unit="reqps",
        alerts=("WaypostPolicyDoesNotAnswer",),
    ),
    Panel(
        title="Refusals",
        text="The share of decisions that refused, by action. A jump after a release of rules: too strict.",
        lines=(
            (
                rate("waypost_decisions_total", "action", where='{outcome="refused"}')
                + f" / ({rate('waypost_decisions_total', 'action')} > 0)",
                "{{action}}",
            ),
        ),
        unit="percentunit",
    ),
    Panel(
        title="Submissions refused, by rules",
        text="The share that each revision of the rules refuses. Higher for a new one: look at its release.",
        lines=(("waypost:submission_refusals:ratio_rate1m", "{{revision}}"),),
        unit="percentunit",
        alerts=("WaypostPolicyRefusalsJump",),
    ),
    Panel(
        title="Time to decide",
        text="The slowest 1 % of policy's answers.",
        lines=((p99("waypost_decision_seconds"), "decision"),),
        unit="s",
    ),
    Panel(
        title="Rules in force",
        text="The revision that decides, by gateway; stale 1: the engine has not taken the newest bundle.",
        lines=(
            (
                "max by (instance, engine, revision) (waypost_policy_revision_info)",
                "{{instance}} {{revision}}",
            ),
            ("max by (instance) (waypost_policy_stale)", "{{instance}} stale"),
        ),
        alerts=("WaypostPolicyStale",),
    ),
    Panel(
        title="Age of the rules",
        text="How long ago the rules came into force that decide now.",
        lines=(
            (
                "time() - (max by (instance) (waypost_policy_in_force_timestamp_seconds) > 0) or vector(0)",
                "{{instance}}",
            ),
        ),
        unit="s",
    ),
)
BUNDLES: Final = (
    Panel(
        title="What the bundle in shadow would change",
        text="Decisions a second that it would have made otherwise. Look before it is activated.",
        lines=(
            (
                rate("waypost_policy_shadow_flips_total", "kind", "rule") + " or vector(0)",
                "{{kind}} {{rule}}",
            ),
        ),
    ),
    Panel(
        title="Decisions that the shadow has missed",
        text="A second: too many came at once, and the panel beside this one shows a sample.",
        lines=((rate("waypost_policy_shadow_skipped_total", "instance"), "{{instance}}"),),
    ),
)
TRUST: Final = (
    Panel(
        title="Tokens and permissions refused",
        text="Calls a second that had no acceptable token, or were not permitted.",
        lines=(
            (
                rate("waypost_requests_total", "outcome", where='{outcome=~"Denied|InvalidToken"}')
                + " or vector(0)",
                "{{outcome}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        title="Key sets",
        text="How long each issuer's keys still count if they cannot be read again; an hour is usual.",
        lines=(("min by (issuer) (waypost_key_set_expiry_timestamp_seconds) - time()", "{{issuer}}"),),
        unit="s",
        alerts=("WaypostTokenKeysExpire",),
    ),
    Panel(
        title="Audit alarms and bundles refused",
        text="Each is somebody's act: the audit trail was changed, or a bad bundle was put into place.",
        lines=(
            ("sum by (instance) (increase(waypost_audit_alarms_total[1h]))", "{{instance}} audit alarms"),
            (
                'sum by (instance) (increase(waypost_policy_bundles_total{outcome="Refused"}[1h]))',
                "{{instance}} bundles refused",
            ),
        ),
        alerts=("WaypostAuditAlarm", "WaypostBundleRefused"),
    ),
    Panel(
        title="Refusals without a record",
        text="There were too many to keep: a flood, or a store that takes no writes.",
        lines=((rate("waypost_unrecorded_decisions_total", "instance"), "{{instance}}"),),
        alerts=("WaypostRefusalsUnrecorded",),
    ),
)
