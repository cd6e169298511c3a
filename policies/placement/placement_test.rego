package waypost.placement_test

import rego.v1

import data.waypost.fixtures
import data.waypost.placement

cases := {
	"a stored run, its submitter's scopes long forgotten": case(fixtures.placing({}), {
		"allow": true,
		"rules": ["document.permitted", "tenant.permitted"],
		"reasons": [],
		"obligations": {
			"regions": ["beijing", "shanghai", "shenzhen"], "max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600,
		},
	}),
	"a data class": case(
		fixtures.placing({"workflow": {"spec": {"dataClass": "pii"}}}),
		{"allow": true, "obligations": {"regions": ["beijing", "shanghai"]}},
	),
	"a data class that lost its regions": {
		"input": fixtures.placing({"workflow": {"spec": {"dataClass": "pii"}}}),
		"data": object.union(fixtures.world, {"residency": {"pii": []}}),
		"want": fixtures.refused(["placement.nowhere"]),
	},
	"an image that was banned meanwhile": {
		"input": fixtures.placing({"workflow": {"spec": {"tasks": [{"name": "a", "type": "docker", "run": {"image": "python"}}]}}}),
		"data": object.union(fixtures.world, {"banned_images": ["docker.io/library/python"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a tenant that is gone": {
		"input": fixtures.placing({}),
		"data": object.union(object.remove(fixtures.world, ["tenants"]), {"tenants": {}}),
		"want": fixtures.refused(["placement.nowhere", "tenant.unknown"]),
	},
	"a run that an operator of another issuer sent": {
		"input": fixtures.placing({}),
		"data": object.union(fixtures.world, {"tenants": {"payments": {"issuers": ["https://other.test"]}}}),
		"want": {"allow": true},
	},
	"a submitter without a tenant": case(
		fixtures.placing({"principal": {"tenant": null}, "workflow": {"metadata": {"tenant": null}}}),
		fixtures.refused(["placement.nowhere", "tenant.missing", "tenant.unknown"]),
	),
}

case(input_, want) := {"input": input_, "data": fixtures.world, "want": want}

test_nothing_is_placed_for_an_empty_question if {
	decision := placement.decision with input as {}
	decision.allow == false
}
