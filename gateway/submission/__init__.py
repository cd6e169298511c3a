"""The steps of a submission, one module each: authenticate, read, authorize, apply obligations, admit.

`authenticate` turns headers into a `Principal`, `reading/` has documents read in processes that can be
killed (`released_workflows` finds those submitted by name), `authorize` asks policy, `obligations` applies
what policy demands of the workflow, and `admit` stores the run in one commit. It is the API's hot path.

`recorded_policy` records policy's decisions, `known_exceptions` caches policy exceptions, `run_visibility`
decides who may see a run, and `audit_sealing` signs the audit trail. Imports `gateway/store`, `identity`,
`policy`, `documents` and `core`; knows neither HTTP nor the reconciler.
"""
