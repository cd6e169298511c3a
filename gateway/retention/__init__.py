"""Archives ended runs, then deletes them: which ones, what of them, and the loop that does it beside the API.

A record is written and made durable before anything of its run is deleted. Rows are deleted a few at a time,
with pauses, so that acceptance goes on as before. The package may import the layers of `gateway` below it
(`store` and lower ones) and `observability`; `reconciler`, `submission` and `rollback` are beside it.
"""
