"""Automatic rollback of bad releases, triggered by alerts and decided on evidence from Prometheus.

`controller` is the loop: it reads alerts from the store, makes one change a pass, and writes each with the
numbers that it saw. `decision` decides by a chain of checks, `verification` whether the rollback has helped,
both pure and the same for all kinds of release. A kind implements `interface` in a package of its own
(`policy_bundles/`, `routing/`, `workflows/`, `deployments/`) and has an entry in `registry`, a member of
`ReleaseKind` and a field in `RollbackSettings`. `prometheus` queries the
`evidence`; `webhook` parses alerts.
"""
