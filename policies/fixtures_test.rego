# Data and inputs for the tests of all rule sets: documents that differ from a good one in one thing each.
package waypost.fixtures

world := {
	"tenants": {
		"payments": {"regions": ["beijing", "shanghai", "shenzhen"], "max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600, "secrets": ["payments/", "smtp/password"], "notify": ["hooks.test"], "artifacts": {"read": ["exports/daily/", "shared/rates.csv"], "write": ["results/"]}},
		"research": {"regions": ["shenzhen"], "executors": ["delay"]},
		"idle": {"regions": []},
	},
	"residency": {"pii": ["beijing", "shanghai"], "nowhere": []},
	"banned_images": ["docker.io/untrusted/", "GHCR.io/unknown/", "docker.io/library/miner"],
	"banned_executors": ["kubernetes"],
	"operators": {"groups": ["/waypost/operators"], "scopes": ["waypost:operate"]},
	"security": {"groups": ["/waypost/security"], "scopes": ["waypost:secure"]},
}

principal := {
	"subject": "ci",
	"issuer": "https://issuer.test",
	"tenant": "payments",
	"client": "ci-runner",
	"scopes": ["workflows:submit", "workflows:read", "workflows:cancel", "regions:read", "regions:operate", "routing:operate", "audit:read", "retention:operate", "exceptions:ask", "exceptions:approve", "workflows:release", "policy:read", "policy:operate"],
	"groups": ["/platform/etl"],
	"expires_at": 1764003600,
}

spec := {
	"tasks": [{"name": "pack", "type": "process", "run": {"command": ["true"]}, "needs": []}],
	"priority": 5,
	"deadlineSeconds": null,
	"dataClass": null,
	"sideEffects": "idempotent",
	"placement": {"regions": [], "avoid": [], "spread": false},
	"shards": {"count": null, "items": null},
	"params": {},
}

workflow := {
	"apiVersion": "waypost/v1",
	"kind": "Workflow",
	"metadata": {"name": "nightly", "tenant": "payments", "labels": {}},
	"spec": spec,
}

run := {"id": "r1", "tenant": "payments", "subject": "ci", "labels": {}}

# A permitted submission with `changes` to its input.
submission(changes) := object.union({"action": "runs:submit", "at": 1764000000, "context": {}, "principal": principal, "workflow": workflow}, changes)

# The same with another spec.
submitting(changes) := submission({"workflow": {"spec": changes}})

# The same with one secret of the regions.
with_secret(name) := submitting({"secrets": [{"name": "PASSWORD", "from": name, "as": "env"}]})

# The same with one docker task.
picturing(image) := submitting({"tasks": [{"name": "pack", "type": "docker", "run": {"image": image}, "needs": []}]})

placing(changes) := object.union(
	{"action": "runs:place", "at": 1764000000, "context": {"run": run}, "principal": principal, "workflow": workflow},
	changes,
)

# An action on a run of the caller's tenant, with `changes` to the input.
acting(action, changes) := object.union({"action": action, "at": 1764000000, "context": {"run": run}, "principal": principal}, changes)

asking(action, changes) := object.union({"action": action, "at": 1764000000, "context": {}, "principal": principal}, changes)

refused(rules) := {"allow": false, "rules": rules, "obligations": {}}

# True if the rules that ship decide about `case.input` with `case.data` as `case.want` says: it names parts of the
# decision, and of its obligations. House rules do not count here: a new one breaks no test of what ships.
holds(case) if {
	decision := asked(case.input.action) with input as case.input
		with data.tenants as object.get(case.data, "tenants", {})
		with data.residency as object.get(case.data, "residency", {})
		with data.banned_images as object.get(case.data, "banned_images", [])
		with data.banned_executors as object.get(case.data, "banned_executors", [])
		with data.operators as object.get(case.data, "operators", {})
		with data.security as object.get(case.data, "security", {})
		with data.mask as object.get(case.data, "mask", [])
		with data.levels as object.get(case.data, "levels", {})
		with data.waypost.house as {}
	every part, wanted in case.want {
		same(decision[part], wanted)
	}
}

asked(action) := data.waypost.submission.decision if {
	action == "runs:submit"
} else := data.waypost.placement.decision if {
	action == "runs:place"
} else := data.waypost.access.decision

same(found, wanted) if alike(found, wanted)

same(found, wanted) if {
	is_object(wanted)
	count(wanted) > 0
	every name, value in wanted {
		alike(found[name], value)
	}
}

# Decisions have sets where cases have lists.
alike(found, wanted) if found == wanted

alike(found, wanted) if {
	is_array(wanted)
	{item | some item in found} == {item | some item in wanted}
}
