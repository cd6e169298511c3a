package idiom

hyp := x if x := allowed with input.workflow.spec.priority as 1
allowed if input.workflow.spec.priority < 3
hyp2 if not allowed with input as {"workflow": {"spec": {"priority": 9}}}
