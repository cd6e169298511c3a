"""A simulation of one cluster: its real scheduler and queue, under a virtual clock, on virtual processors.

`virtual_cluster` runs a load, `loads` makes loads (periodic jobs, Poisson arrivals, recorded workflows),
`measures` sums up what happened, `queueing_theory` and `periodic_theory` say what should have. Imports
`clusters.embedded.scheduling` and what is below it; only the command line imports it.
"""
