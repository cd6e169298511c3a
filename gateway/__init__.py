"""The gateway process: its API accepts runs, and its reconciler places, dispatches and commits their shards.

`app.py` puts it together from `settings.py`, which `settings_loading.py` reads; `gateway_process.py` runs it;
`__main__.py` is the `waypost` command. The packages are layered, and each imports only from layers below its
own: `cli`, `app`, `api`, `submission`, `reconciler` and `rollback`, `store`, `regions` and `mesh`,
`identity`, `policy` and `documents`, `core`, `settings` (the contracts are in pyproject.toml). All of them
may import `clusters`, `observability` and `waypost`.
"""
