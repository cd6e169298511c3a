"""The Grafana dashboards, each with its audience and its panels."""

from typing import Final

from observability.grafana.cluster_panels import CLUSTER_SPEED, CLUSTERS
from observability.grafana.gateway_panels import CALLS, GATEWAY, LEFT_BEHIND, REGIONS, WORK
from observability.grafana.panel import DashboardPage
from observability.grafana.policy_panels import BUNDLES, POLICY, TRUST
from observability.grafana.release_panels import RELEASES, ROLLBACKS
from observability.grafana.upkeep_panels import UPKEEP

DASHBOARDS: Final = (
    DashboardPage(
        uid="waypost-sre",
        title="Waypost: operation",
        text="For who is on call: what callers see, what work does, which region or process is the cause.",
        rows=(
            ("Callers", CALLS),
            ("Work", WORK),
            ("Regions", REGIONS),
            ("Gateways", GATEWAY),
            ("Releases", RELEASES + ROLLBACKS),
        ),
    ),
    DashboardPage(
        uid="waypost-security",
        title="Waypost: security",
        text="For the security team: what policy decides, by which rules, who is refused, and what was"
        " changed behind the gateway's back.",
        rows=(("Policy", POLICY), ("Bundles on trial", BUNDLES), ("Trust", TRUST), ("Rollbacks", ROLLBACKS)),
    ),
    DashboardPage(
        uid="waypost-teams",
        title="Waypost: teams",
        text="For those who submit work: whether it is accepted, how long it waits, how it ends. Of all teams"
        " together: `waypost runs` shows your own.",
        rows=(("Acceptance", CALLS), ("Work", WORK), ("Releases", RELEASES)),
    ),
    DashboardPage(
        uid="waypost-upkeep",
        title="Waypost: upkeep",
        text="For who keeps it running: notifications, retention, disks, traces, and what failovers leave.",
        rows=(("Upkeep", UPKEEP), ("Placement and failover", LEFT_BEHIND)),
    ),
    DashboardPage(
        uid="waypost-clusters",
        title="Waypost: clusters",
        text="For who runs the regions: how full each cluster is, and what makes it slow.",
        rows=(("Room", CLUSTERS), ("Speed", CLUSTER_SPEED)),
    ),
)
