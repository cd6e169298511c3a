"""What the gateway knows of each region, and what follows from it: health, condition, and the choice of a
region for a shard.

Health is a frozen value that probes, calls and time move on (`health.py` and the three `health_*` files),
with the peak EWMA of `latency.py` and the ejections of `outlier_detection.py` in it. `blackout_guard.py`
tells lost regions from a gateway that is cut off. `region_view.py` is the snapshot that placement filters
(`filters.py`), scores (`scores.py`) and selects from (`placement.py`).

Everything here is pure: time, randomness, settings and what a cluster reports come in as arguments, the next
value or a decision goes out, and the reconciler acts on it. Imports `gateway.documents`, `gateway.core`,
`gateway.settings`, and of the clusters only the values of `clusters.protocol`.
"""
