"""Fetches the sources of tries into their workspaces, and stores targets from there: `file` and `s3`.

`execution` puts both around a try; `transfers` moves each file in a process of its own (`file_transfer`,
`s3_transfer`), which can be killed; `settings` names the storages that a cluster permits.
"""
