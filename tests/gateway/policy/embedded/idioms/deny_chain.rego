package idiom

result := {"allow": allow, "reasons": reasons, "n": count(reasons)}

default allow := false

allow if count(reasons) == 0
reasons contains r.msg if some r in violations
violations contains {"msg": "prio", "sev": 1} if input.workflow.spec.priority > 3

violations contains {"msg": msg, "sev": 2} if {
	some t in input.workflow.spec.tasks
	t.type == "docker"
	msg := concat(" ", ["docker", t.name])
}
