"""Dashboard panels about gateways: calls, work, regions, and the process itself."""

from typing import Final

from observability.grafana.panel import RATE, Panel, p99, rate

CALLS: Final = (
    Panel(
        title="Calls",
        text="Answered calls a second, by outcome. Unavailable and Internal are errors of ours.",
        lines=((rate("waypost_requests_total", "outcome"), "{{outcome}}"),),
        unit="reqps",
    ),
    Panel(
        title="Errors",
        text="The share of calls that were answered Unavailable or Internal. Over 5 % with slow calls pages;"
        " the objective is 0.1 %.",
        lines=(
            ("waypost:request_errors:ratio_rate1m", "1 minute"),
            ("waypost:request_errors:ratio_rate1h", "1 hour"),
            ("waypost:request_errors:ratio_rate6h", "6 hours"),
        ),
        unit="percentunit",
        alerts=(
            "WaypostErrorBudgetBurnsFast",
            "WaypostErrorBudgetBurnsSteadily",
            "WaypostErrorBudgetBurnsSlowly",
        ),
    ),
    Panel(
        title="Latency",
        text="The slowest 1 % of calls take longer than this. Over 0.8 s together with errors pages.",
        lines=(
            ("waypost:request_seconds:p99_1m", "all calls"),
            (p99("waypost_request_seconds", "call"), "{{call}}"),
        ),
        unit="s",
        alerts=("WaypostSlowAndFailing",),
        exemplars=True,
    ),
    Panel(
        title="Steps of a submission",
        text="The slowest 1 %: authenticate (keys), read (documents), authorize (policy), admit (disk).",
        lines=((p99("waypost_step_seconds", "step"), "{{step}}"),),
        unit="s",
    ),
)
WORK: Final = (
    Panel(
        title="Shards under way",
        text="Pending grows: nothing fits. Suspect: their region is lost, and they are about to move.",
        lines=(("sum by (phase) (waypost_shards)", "{{phase}}"),),
        alerts=("WaypostShardsStuck",),
    ),
    Panel(
        title="Queue age",
        text="How long ago the oldest run with a waiting shard was accepted.",
        lines=(("max(waypost_queue_age_seconds)", "oldest"),),
        unit="s",
        alerts=("WaypostQueueOld",),
    ),
    Panel(
        title="Shards ended",
        text="By phase, a second. Quarantined ones wait for a person.",
        lines=((rate("waypost_shards_ended_total", "phase"), "{{phase}}"),),
        alerts=("WaypostShardsQuarantined",),
    ),
    Panel(
        title="Tasks ended",
        text="By task type and outcome, a second. Retrying: a try failed, and another follows.",
        lines=((rate("waypost_tasks_ended_total", "executor", "outcome"), "{{executor}} {{outcome}}"),),
    ),
)
REGIONS: Final = (
    Panel(
        title="Condition of regions",
        text="The condition that each region is in.",
        lines=(("max by (region, condition) (waypost_region_condition) == 1", "{{region}} {{condition}}"),),
        alerts=("WaypostRegionDown", "WaypostRegionEjected", "WaypostRegionDegraded"),
    ),
    Panel(
        title="Cordoned regions",
        text="1 while an operator or the routing keeps new work from a region.",
        lines=(("max by (region) (waypost_region_cordoned)", "{{region}}"),),
        alerts=("WaypostRegionCordoned",),
    ),
    Panel(
        title="Round trips",
        text="Peak EWMA of each region's round trips: it rises at once and falls slowly.",
        lines=(("max by (region) (waypost_region_peak_ewma_seconds)", "{{region}}"),),
        unit="s",
    ),
    Panel(
        title="Failovers",
        text="Shards that left a region because of it in ten minutes, by the event that took them from it.",
        lines=(("waypost:failovers:increase10m", "{{region}} {{cause}}"),),
    ),
    Panel(
        title="Recovery",
        text="From the loss of a shard's region until it runs again: half of them, and all but 1 %.",
        lines=(
            (
                f"histogram_quantile(0.5, sum by (le) (increase(waypost_recovery_seconds_bucket[{RATE}])))",
                "half",
            ),
            (
                f"histogram_quantile(0.99, sum by (le) (increase(waypost_recovery_seconds_bucket[{RATE}])))",
                "99 %",
            ),
        ),
        unit="s",
    ),
    Panel(
        title="Dispatch",
        text="From the placing of an attempt until its region confirmed it: the slowest 1 %.",
        lines=(("waypost:dispatch_seconds:p99_5m", "{{region}}"),),
        unit="s",
        alerts=("WaypostDispatchSlow",),
    ),
    Panel(
        title="Events behind",
        text="Events that a region has and no gateway has committed.",
        lines=(("max by (region) (waypost_event_lag)", "{{region}}"),),
        alerts=("WaypostEventsLate",),
    ),
)
LEFT_BEHIND: Final = (
    Panel(
        title="Score of regions",
        text="What placement compares, lower is better: expected seconds until served.",
        lines=(("max by (region) (waypost_region_score)", "{{region}}"),),
        unit="s",
    ),
    Panel(
        title="Attempts handed over at once",
        text="Attempts in a call to a region: half of the calls had at most so many.",
        lines=(
            (
                f"histogram_quantile(0.5, sum by (le) (rate(waypost_dispatch_batch_size_bucket[{RATE}])))",
                "half",
            ),
        ),
    ),
    Panel(
        title="What lost regions left behind",
        text="Reports of superseded attempts that were refused, and orphans confirmed as gone, a second.",
        lines=(
            (rate("waypost_stale_reports_total", "region") + " or vector(0)", "{{region}} stale reports"),
            (rate("waypost_tombstones_total", "region") + " or vector(0)", "{{region}} orphans gone"),
        ),
    ),
    Panel(
        title="Run-leases",
        text="Asked for, a second, by outcome. Refused: an attempt that was given up runs and ends soon.",
        lines=(
            (
                rate("waypost_lease_renewals_total", "region", "outcome") + " or vector(0)",
                "{{region}} {{outcome}}",
            ),
        ),
    ),
)
GATEWAY: Final = (
    Panel(
        title="States that stop work",
        text="1 is bad for each: cut off, failover frozen, store that takes no writes, gateway that is down.",
        lines=(
            ("max by (instance) (waypost_cut_off)", "{{instance}} cut off"),
            ("max by (instance) (waypost_failover_frozen)", "{{instance}} failover frozen"),
            ("1 - min by (instance) (waypost_store_writable)", "{{instance}} store does not write"),
            ('1 - min by (instance) (up{job="waypost-gateways"})', "{{instance}} down"),
        ),
        alerts=("WaypostCutOff", "WaypostFailoverFrozen", "WaypostStoreNotWriting", "WaypostGatewayDown"),
    ),
    Panel(
        title="Event loop",
        text="How late each process is: the slowest 1 %. Over 0.1 s it cannot keep up.",
        lines=(("waypost:loop_lag_seconds:p99_5m", "{{instance}}"),),
        unit="s",
        alerts=("WaypostEventLoopLate",),
    ),
    Panel(
        title="Connections",
        text="The share of each pool that is in use: of callers (api, internal), and to each region.",
        lines=(("waypost_connections / waypost_connections_maximum", "{{instance}} {{pool}}"),),
        unit="percentunit",
        alerts=("WaypostConnectionsNearlyFull",),
    ),
    Panel(
        title="Certificates",
        text="How long each certificate is still valid.",
        lines=(
            (
                "min by (instance, certificate) (waypost_certificate_expiry_timestamp_seconds) - time()",
                "{{instance}} {{certificate}}",
            ),
        ),
        unit="s",
        alerts=("WaypostCertificateExpires", "WaypostCertificateExpiresSoon"),
    ),
)
