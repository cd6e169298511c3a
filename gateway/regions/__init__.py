"""The health of regions, the condition that follows from it, and the choice of a region for a shard.

A region's health is a frozen value (`health.py`), of which a peak EWMA of the latency (`latency.py`) and the
ejections (`outlier_detection.py`) are parts. Probes, calls and time give the next value (the three `health_*`
files). `blackout_guard.py` decides whether the regions were lost or the gateway itself is cut off. Placement
takes a snapshot of the regions (`region_view.py`) and the demand of a shard (`placement_demand.py`), then
filters (`filters.py`), scores (`scores.py`) and selects (`placement.py`).
Weights, cordons and preferences of regions come from the routing revision in force (`routing.py`).

Everything here is pure: time, randomness, settings and what a cluster reports come in as arguments; the next
value or a decision goes out, and the reconciler acts on it. Imports `gateway.documents`,
`gateway.core`, `gateway.settings`, and of `clusters` only the values of `clusters.protocol`.
"""
