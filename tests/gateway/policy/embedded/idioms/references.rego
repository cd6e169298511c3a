package idiom

banned if input.workflow.spec.tasks[_].type == "http"
names := [n | n := input.workflow.spec.tasks[_].name]
idx := {i | input.workflow.spec.tasks[i].run.command[_] == "curl"}
deny contains "no http" if banned
deny contains "x" if not input.workflow.metadata.labels.team
deny contains "y" if not any_gold
any_gold if input.workflow.metadata.labels[_] == "gold"
