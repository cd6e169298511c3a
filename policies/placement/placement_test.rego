package waypost.placement_test

import data.waypost.fixtures
import data.waypost.placement

test_an_accepted_run if case(fixtures.placing({}), {
	"allow": true,
	"rules": ["document.permitted", "tenant.permitted"],
	"reasons": [],
	"obligations": {
		"regions": ["beijing", "shanghai", "shenzhen"], "max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600,
	},
})

test_a_data_class if case(
	fixtures.placing({"workflow": {"spec": {"dataClass": "pii"}}}),
	{"allow": true, "obligations": {"regions": ["beijing", "shanghai"]}},
)

test_a_data_class_that_lost_its_regions if fixtures.holds({
	"input": fixtures.placing({"workflow": {"spec": {"dataClass": "pii"}}}),
	"data": object.union(fixtures.world, {"residency": {"pii": []}}),
	"want": fixtures.refused(["placement.nowhere"]),
})

test_an_image_that_was_banned_meanwhile if fixtures.holds({
	"input": fixtures.placing({"workflow": {"spec": {"tasks": [{"name": "a", "type": "docker", "run": {"image": "python"}}]}}}),
	"data": object.union(fixtures.world, {"banned_images": ["docker.io/library/python"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_tenant_that_is_gone if fixtures.holds({
	"input": fixtures.placing({}),
	"data": object.union(object.remove(fixtures.world, ["tenants"]), {"tenants": {}}),
	"want": fixtures.refused(["placement.nowhere", "tenant.unknown"]),
})

test_a_run_that_an_operator_of_another_issuer_sent if fixtures.holds({
	"input": fixtures.placing({}),
	"data": object.union(fixtures.world, {"tenants": {"payments": {"issuers": ["https://other.test"]}}}),
	"want": {"allow": true},
})

# Runs of gateways before 0.4 were stored without their submitter's scopes and groups, under their own tenant.
test_a_run_without_its_submitters_scopes if case(fixtures.placing({"principal": {"scopes": [], "groups": []}}), {"allow": true})

test_a_run_that_an_operator_submitted_for_another_tenant if case(
	fixtures.placing({"principal": {"tenant": "research", "groups": ["/waypost/operators"]}}),
	{"allow": true, "obligations": {"regions": ["beijing", "shanghai", "shenzhen"]}},
)

test_a_run_of_another_tenants_who_is_no_operator_any_more if case(
	fixtures.placing({"principal": {"tenant": "research"}}),
	fixtures.refused(["executor.tenant", "tenant.foreign"]),
)

test_a_house_rule_for_placement if {
	decision := placement.decision with input as fixtures.placing({})
		with data.tenants as fixtures.world.tenants
		with data.waypost.house as {"place": {"not today"}, "submit": {"not at all"}}
	decision.reasons == {{"rule": "house", "message": "not today"}}
}

test_a_submitter_without_a_tenant if case(
	fixtures.placing({"principal": {"tenant": null}, "workflow": {"metadata": {"tenant": null}}}),
	fixtures.refused(["placement.nowhere", "tenant.missing", "tenant.unknown"]),
)

case(question, want) if fixtures.holds({"input": question, "data": fixtures.world, "want": want})

test_nothing_is_placed_for_an_empty_question if {
	decision := placement.decision with input as {}
	decision.allow == false
}

test_the_record_leaves_out_what_is_masked if {
	every tenant in ["payments", "ghost"] {
		question := fixtures.placing({"principal": {"tenant": tenant}})
		decision := placement.decision with input as question
			with data.tenants as fixtures.world.tenants
			with data.residency as fixtures.world.residency
			with data.mask as ["/workflow"]
		decision.obligations.mask == ["/workflow"]
	}
}

test_a_soft_rule_at_placement_says_its_level if {
	answer := placement.decision with input as fixtures.placing({"workflow": {"spec": {"priority": 9}}})
		with data.tenants as fixtures.world.tenants
		with data.levels as {"priority.cap": "soft"}
		with data.house as {}
		with data.waypost.house as {}
	answer.levels == {"priority.cap": "soft"}
	answer.obligations.regions
}
