"""Policy bundles as a kind of release: finds the newest one, its evidence, and rolls it back.

`latest_bundle` finds the newest change of the rules in force, `queries` has the PromQL about it, both pure;
`releases` puts them together with the rollout of bundles.
"""
