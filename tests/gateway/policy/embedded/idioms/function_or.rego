package idiom

is_prod(labels) if labels.stage == "prod-1"
is_prod(labels) if startswith(labels.team, "prod")
deny contains "prod" if is_prod(input.workflow.metadata.labels)
deny contains "notprod" if not is_prod(input.workflow.metadata.labels)
