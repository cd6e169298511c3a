"""Released workflows as a kind of release: finds a version in force, its evidence, and rolls it back.

`version_in_force` finds the version that an alert is about, `queries` has the PromQL about it, both pure;
`releases` puts them together with the store.
"""
