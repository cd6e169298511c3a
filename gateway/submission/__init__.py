"""The steps of a submission, one file each: authenticate, authorize, admit. It is the API's hot path.

`authenticate` turns headers into a `Principal`, `reading/` has documents read in processes that can be
killed, `authorize` asks policy, `obligations` applies what policy demands of the workflow, and `admit` stores
the run in one commit. Imports `gateway/store`, `identity`, `policy`, `documents` and `core`; knows neither
HTTP nor the reconciler.
"""
