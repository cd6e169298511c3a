package idiom

req := {t.name: r | some t in input.workflow.spec.tasks; r := object.get(t, "resources", {})}
over := [n | some n, r in req; r.memoryMiB > 1000]
inverted := {v: k | some k, v in {"a": 1, "b": 2}}
