"""Cases for each alert: a history of metrics at which it fires, and one at which it nearly does.

Series are in promtool's notation, by default a sample each 15 s: `0+9x20` grows by 9 each, 20 times.
"""

from typing import Final

from tests.observability.alert_case import DAY, AlertCase, gauge
from tests.observability.upkeep_cases import UPKEEP_CASES


def calls(good: str, bad: str) -> dict[str, str]:
    """Returns series of the counters of answered calls and of failed calls."""
    return {
        'waypost_requests_total{call="submit",outcome="Accepted"}': good,
        'waypost_requests_total{call="submit",outcome="Unavailable"}': bad,
        'waypost_requests_total{call="submit",outcome="Denied"}': "0+1x400",
    }


def latency(quick: str, slow: str) -> dict[str, str]:
    """Returns series of the latency histogram: `quick` calls under 0.5 s, the rest of `slow` up to 1 s."""
    bucket = 'waypost_request_seconds_bucket{call="submit",le="%s"}'
    return {
        bucket % "0.5": quick,
        bucket % "0.8": quick,
        bucket % "1.0": slow,
        bucket % "+Inf": slow,
    }


def deciding(revision: str, permitted: str, refused: str) -> dict[str, str]:
    """Returns series of the submissions that one revision of the rules permitted and refused."""
    series = f'waypost_submission_decisions_total{{revision="{revision}",outcome="%s"}}'
    return {series % "permitted": permitted, series % "refused": refused}


def ended(release: str, succeeded: str, failed: str) -> dict[str, str]:
    """Returns series of the ended shards of one version of a released workflow."""
    series = f'waypost_release_shard_seconds_count{{release="{release}",outcome="%s"}}'
    return {series % "succeeded": succeeded, series % "failed": failed}


def placed(routing: str, succeeded: str, failed: str) -> dict[str, str]:
    """Returns series of the ended shards that one routing revision has placed."""
    series = f'waypost_shards_ended_total{{routing="{routing}",phase="%s"}}'
    return {series % "Succeeded": succeeded, series % "Failed": failed}


def condition(alert: str, name: str, at: str) -> AlertCase:
    series = f'waypost_region_condition{{region="beijing",condition="{name}"}}'
    return gauge(series, "1x200", "1x3 0x200", at, alert)


CASES: Final = (
    AlertCase(
        "WaypostSlowAndFailing",
        "8m",
        calls("0+80x80", "0+20x80") | latency("0+80x80", "0+100x80"),
        calls("0+99x80", "0+1x80") | latency("0+80x80", "0+100x80"),  # slow, and few errors
    ),
    AlertCase(
        "WaypostErrorBudgetBurnsFast",
        "40m",
        calls("0+97x30", "0+3x30"),
        calls("0+99x30", "0+1x30"),
        step="5m",
    ),
    AlertCase(  # its runbook: it ends by itself within 6 minutes after the last error
        "WaypostErrorBudgetBurnsFast",
        "40m",
        calls("0+97x40", "0+3x38 114x2"),
        calls("0+97x40", "0+3x34 102x6"),
        step="1m",
    ),
    AlertCase(
        "WaypostErrorBudgetBurnsSteadily",
        "2h",
        calls("0+990x50", "0+10x50"),
        calls("0+995x50", "0+2x50"),
        step="5m",
    ),
    AlertCase(
        "WaypostErrorBudgetBurnsSlowly",
        "2h",
        calls("0+998x50", "0+3x50"),
        calls("0+9999x50", "0+1x50"),
        step="5m",
    ),
    gauge('up{job="waypost-gateways",instance="g"}', "1x4 0x20", "1x24", "4m", "WaypostGatewayDown"),
    gauge('waypost_store_writable{instance="g"}', "0x20", "0 1x20", "2m", "WaypostStoreNotWriting"),
    gauge('waypost_cut_off{instance="g"}', "1x20", "1 0x20", "2m", "WaypostCutOff"),
    gauge('waypost_audit_alarms_total{instance="g"}', "0x4 1x20", "1x24", "4m", "WaypostAuditAlarm"),
    gauge(
        'waypost_certificate_expiry_timestamp_seconds{instance="g",certificate="gateway"}',
        f"{20 * DAY}x40",
        f"{22 * DAY}x40",
        "6m",
        "WaypostCertificateExpires",
    ),
    gauge(
        'waypost_certificate_expiry_timestamp_seconds{instance="g",certificate="gateway"}',
        f"{2 * DAY}x40",
        f"{4 * DAY}x40",
        "6m",
        "WaypostCertificateExpiresSoon",
    ),
    gauge(
        'waypost_key_set_expiry_timestamp_seconds{issuer="https://issuer.test"}',
        "1800x40",
        "3600x40",
        "4m",
        "WaypostTokenKeysExpire",
    ),
    AlertCase(
        "WaypostEventLoopLate",
        "20m",
        {
            'waypost_loop_lag_seconds_bucket{instance="g",le="0.1"}': "0+20x100",
            'waypost_loop_lag_seconds_bucket{instance="g",le="0.25"}': "0+30x100",
            'waypost_loop_lag_seconds_bucket{instance="g",le="+Inf"}': "0+30x100",
        },
        {
            'waypost_loop_lag_seconds_bucket{instance="g",le="0.1"}': "0+30x100",
            'waypost_loop_lag_seconds_bucket{instance="g",le="0.25"}': "0+30x100",
            'waypost_loop_lag_seconds_bucket{instance="g",le="+Inf"}': "0+30x100",
        },
    ),
    AlertCase(
        "WaypostConnectionsNearlyFull",
        "6m",
        {'waypost_connections{pool="api"}': "81x40", 'waypost_connections_maximum{pool="api"}': "100x40"},
        {'waypost_connections{pool="api"}': "79x40", 'waypost_connections_maximum{pool="api"}': "100x40"},
    ),
    gauge(
        'waypost_decisions_total{instance="g",engine="opa",action="runs:submit",outcome="unanswered"}',
        "0+1x40",
        "7x40",
        "4m",
        "WaypostPolicyDoesNotAnswer",
    ),
    gauge('waypost_policy_stale{instance="g"}', "1x40", "1x10 0x40", "7m", "WaypostPolicyStale"),
    AlertCase(
        "WaypostPolicyRefusalsJump",
        "28m",
        deciding("old", "0+98x160", "0+2x160") | deciding("new", "_x100 0+20x60", "_x100 0+5x60"),
        deciding("old", "0+90x160", "0+10x160") | deciding("new", "_x100 0+80x60", "_x100 0+16x60"),
    ),
    # Where most submissions were refused anyway, twice their share would be more than all.
    AlertCase(
        "WaypostPolicyRefusalsJump",
        "28m",
        deciding("old", "0+40x160", "0+60x160") | deciding("new", "_x100 0+1x60", "_x100 0+24x60"),
        deciding("old", "0+40x160", "0+60x160") | deciding("new", "_x100 0+7x60", "_x100 0+18x60"),
    ),
    AlertCase(
        "WaypostPolicyRefusalsJump",
        "28m",
        deciding("old", "0+1x160", "0+99x160") | deciding("new", "_x100 0x60", "_x100 0+25x60"),
        deciding("old", "0x160", "0+100x160") | deciding("new", "_x100 0x60", "_x100 0+25x60"),
    ),
    gauge(
        'waypost_requests_total{instance="g",call="receive_alerts",outcome="TooLarge"}',
        "0x4 1x20",
        "1x24",
        "4m",
        "WaypostAlertsLost",
    ),
    gauge(
        'waypost_alerts_total{instance="g",outcome="LeftOut"}', "0x4 1x20", "1x24", "4m", "WaypostAlertsLost"
    ),
    AlertCase(
        "WaypostReleaseFails",
        "10m",
        ended("demo/nightly@2", "0+90x60", "0+10x60"),
        ended("demo/nightly@2", "0+96x60", "0+4x60") | ended("other", "0+1x60", "0+9x60"),
    ),
    AlertCase(
        "WaypostRoutingFails",
        "20m",
        placed("settings", "0+100x60 6000x40", "0x100") | placed("7", "0x60 0+70x40", "0x60 0+30x40"),
        # as much failed before, and the settings are no revision
        placed("settings", "0+70x60 4200x40", "0+30x100") | placed("7", "0x60 0+70x40", "0x60 0+30x40"),
    ),
    gauge(
        'waypost_rollbacks_total{instance="g",phase="Done"}', "0x4 1x20", "1x24", "4m", "WaypostRolledBack"
    ),
    gauge(
        'waypost_rollbacks_total{instance="g",phase="Frozen"}',
        "0x4 1x20",
        "1x24",
        "4m",
        "WaypostRollbackWanted",
    ),
    gauge(
        'waypost_policy_bundles_total{instance="g",outcome="Refused"}',
        "0x4 1x20",
        "1x24",
        "4m",
        "WaypostBundleRefused",
    ),
    gauge(
        'waypost_unrecorded_decisions_total{instance="g"}',
        "0+1x200",
        "0x4 1x200",
        "30m",
        "WaypostRefusalsUnrecorded",
    ),
    condition("WaypostRegionDown", "Unreachable", "3m"),
    condition("WaypostRegionEjected", "Ejected", "7m"),
    condition("WaypostRegionDegraded", "Degraded", "12m"),
    gauge(
        'waypost_region_cordoned{region="beijing"}',
        "1x3000",
        "1x40 0x1 1x3000",
        "12h2m",
        "WaypostRegionCordoned",
    ),
    gauge('waypost_failover_frozen{instance="g"}', "1x40", "1x3 0x40", "3m", "WaypostFailoverFrozen"),
    gauge('waypost_event_lag{region="beijing"}', "2001x40", "2000x40", "7m", "WaypostEventsLate"),
    AlertCase(
        "WaypostDispatchSlow",
        "20m",
        {
            'waypost_dispatch_seconds_bucket{region="beijing",le="2.5"}': "0+1x100",
            'waypost_dispatch_seconds_bucket{region="beijing",le="5.0"}': "0+2x100",
            'waypost_dispatch_seconds_bucket{region="beijing",le="+Inf"}': "0+2x100",
        },
        {
            'waypost_dispatch_seconds_bucket{region="beijing",le="2.5"}': "0+2x100",
            'waypost_dispatch_seconds_bucket{region="beijing",le="5.0"}': "0+2x100",
            'waypost_dispatch_seconds_bucket{region="beijing",le="+Inf"}': "0+2x100",
        },
    ),
    AlertCase(
        "WaypostClusterJournalSlow",
        "12m",
        {
            'waypost_cluster_journal_seconds_bucket{region="beijing",instance="c",le="1.0"}': "0+1x100",
            'waypost_cluster_journal_seconds_bucket{region="beijing",instance="c",le="+Inf"}': "0+2x100",
            'waypost_cluster_journal_seconds_bucket{region="beijing",instance="c",le="2.5"}': "0+2x100",
        },
        {
            'waypost_cluster_journal_seconds_bucket{region="beijing",instance="c",le="1.0"}': "0+2x100",
            'waypost_cluster_journal_seconds_bucket{region="beijing",instance="c",le="+Inf"}': "0+2x100",
        },
    ),
    *UPKEEP_CASES,
    gauge("waypost_queue_age_seconds", "901x100", "900x100", "12m", "WaypostQueueOld"),
    gauge('waypost_shards{phase="Suspect"}', "3x100", "3x30 0x100", "12m", "WaypostShardsStuck"),
    gauge(
        'waypost_shards_ended_total{phase="Quarantined"}',
        "0x4 1x20",
        "1x24",
        "4m",
        "WaypostShardsQuarantined",
    ),
)
