package waypost.submission_test

import data.waypost.fixtures
import data.waypost.submission

everywhere := ["beijing", "shanghai", "shenzhen"]

duties := {"max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600}

allowed(regions) := {
	"allow": true,
	"rules": ["document.permitted", "scope.granted", "tenant.permitted"],
	"reasons": [],
	"obligations": object.union(duties, {"regions": regions}),
}

test_a_workflow_within_its_tenants_limits if case(fixtures.submission({}), allowed(everywhere))

test_a_document_that_names_no_tenant if case(fixtures.submission({"workflow": {"metadata": {"tenant": null}}}), allowed(everywhere))

test_the_scope_is_missing if case(scoped(["workflows:read"]), fixtures.refused(["scope.missing"]))

test_a_scope_that_only_begins_alike if case(scoped(["workflows:submit-all"]), fixtures.refused(["scope.missing"]))

test_a_scope_that_only_ends_alike if case(scoped(["xworkflows:submit"]), fixtures.refused(["scope.missing"]))

test_a_scope_in_other_letter_case if case(scoped(["Workflows:Submit"]), fixtures.refused(["scope.missing"]))

test_two_scopes_in_one_string if case(scoped(["workflows:submit workflows:read"]), fixtures.refused(["scope.missing"]))

test_no_scopes_at_all if case(scoped([]), fixtures.refused(["scope.missing"]))

test_another_tenants_workflow if case(for_tenant("research", {}), {
	"allow": false,
	"rules": ["tenant.foreign"],
	"reasons": [{"rule": "tenant.foreign", "message": "tenant: payments may not submit for research"}],
})

test_another_tenants_workflow_by_an_operators_group if case(
	for_tenant("research", {"groups": ["/waypost/operators"]}),
	fixtures.refused(["executor.tenant"]),
)

test_another_tenants_workflow_by_an_operators_scope if case(
	for_tenant("research", {"scopes": ["waypost:operate", "workflows:submit"]}),
	fixtures.refused(["executor.tenant"]),
)

test_a_group_that_only_begins_like_the_operators if case(
	for_tenant("research", {"groups": ["/waypost/operators/former"]}),
	fixtures.refused(["tenant.foreign"]),
)

test_an_operator_without_the_scope_to_submit if case(
	for_tenant("payments", {"groups": ["/waypost/operators"], "scopes": []}),
	fixtures.refused(["scope.missing"]),
)

test_an_operator_for_a_tenant_that_is_not_known if case(
	for_tenant("ghost", {"groups": ["/waypost/operators"]}),
	fixtures.refused(["placement.nowhere", "tenant.unknown"]),
)

test_an_operator_whose_document_names_no_tenant if case(
	for_tenant(null, {"groups": ["/waypost/operators"]}),
	allowed(everywhere),
)

test_a_tenant_of_this_issuer if bound(fixtures.submission({}), ["https://issuer.test"], allowed(everywhere))

test_a_tenant_of_another_issuer if bound(fixtures.submission({}), ["https://other.test"], {
	"allow": false,
	"rules": ["tenant.issuer"],
	"reasons": [{"rule": "tenant.issuer", "message": "tenant: https://issuer.test does not speak for payments"}],
})

test_a_tenant_of_no_issuer if bound(fixtures.submission({}), [], fixtures.refused(["tenant.issuer"]))

# It may act for research, whose limits then hold.
test_an_operator_of_the_issuer_that_names_operators if bound(
	for_tenant("research", {"groups": ["/waypost/operators"]}),
	["https://issuer.test"],
	fixtures.refused(["executor.tenant"]),
)

test_an_operators_group_in_another_issuers_token if bound(
	for_tenant("research", {"groups": ["/waypost/operators"], "issuer": "https://other.test"}),
	["https://issuer.test"],
	fixtures.refused(["tenant.foreign", "tenant.issuer"]),
)

test_an_operators_scope_in_another_issuers_token if bound(
	for_tenant("research", {"scopes": ["waypost:operate", "workflows:submit"], "issuer": "https://other.test"}),
	["https://issuer.test"],
	fixtures.refused(["tenant.foreign", "tenant.issuer"]),
)

test_a_tenant_that_is_not_known if case(
	fixtures.submission({"principal": {"tenant": "ghost"}, "workflow": {"metadata": {"tenant": "ghost"}}}),
	fixtures.refused(["placement.nowhere", "tenant.unknown"]),
)

test_a_caller_without_a_tenant if case(
	fixtures.submission({"principal": {"tenant": null}}),
	fixtures.refused(["placement.nowhere", "tenant.foreign", "tenant.missing", "tenant.unknown"]),
)

test_no_document if case(
	{"action": "runs:submit", "at": 1764000000, "context": {}, "principal": fixtures.principal},
	fixtures.refused(["document.missing"]),
)

test_data_without_operators if fixtures.holds({
	"input": for_tenant("research", {"groups": ["/waypost/operators"]}),
	"data": object.remove(fixtures.world, ["operators"]),
	"want": fixtures.refused(["tenant.foreign"]),
})

test_data_with_nothing_but_tenants if fixtures.holds({
	"input": fixtures.picturing("docker.io/untrusted/x"),
	"data": {"tenants": {"payments": {"regions": ["beijing"]}}},
	"want": {"allow": true, "obligations": {"regions": ["beijing"]}},
})

case(question, want) if fixtures.holds({"input": question, "data": fixtures.world, "want": want})

# Data in which these issuers alone may name the tenant payments and operators.
bound(question, issuers, want) if {
	bounds := {"tenants": {"payments": {"issuers": issuers}}, "operators": {"issuers": issuers}}
	fixtures.holds({"input": question, "data": object.union(fixtures.world, bounds), "want": want})
}

scoped(scopes) := fixtures.submission({"principal": {"scopes": scopes}})

for_tenant(tenant, principal) := fixtures.submission({"principal": principal, "workflow": {"metadata": {"tenant": tenant}}})

test_a_house_rule_for_submission if {
	refusal := {"rule": "labels.team", "message": "labels: team is missing"}
	decision := submission.decision with input as fixtures.submission({})
		with data.tenants as fixtures.world.tenants
		with data.waypost.house as {"submit": {refusal}, "place": {"not here"}}
	decision.reasons == {refusal}
	decision.rules == {"labels.team"}
}

test_the_rules_alone_refuse_without_data if {
	decision := submission.decision with input as fixtures.submission({}) with data.tenants as {} with data.waypost.house as {}
	decision.allow == false
}

test_nothing_is_permitted_to_an_empty_question if {
	decision := submission.decision with input as {}
	decision.allow == false
}

masking := object.union(fixtures.world, {"mask": ["/workflow/spec/params/password"]})

test_the_record_of_a_permission_leaves_out_what_is_masked if {
	want := {"allow": true, "obligations": object.union(duties, {"regions": everywhere, "mask": masking.mask})}
	fixtures.holds({"input": fixtures.submission({}), "data": masking, "want": want})
}

test_the_record_of_a_refusal_leaves_it_out_too if {
	want := {"allow": false, "obligations": {"mask": masking.mask}}
	fixtures.holds({"input": scoped([]), "data": masking, "want": want})
}

# Levels

banned := fixtures.picturing("docker.io/untrusted/miner")

test_a_soft_rule_refuses_and_says_its_level if levelled({"image.banned": "soft"}, banned).levels == {"image.banned": "soft"}

test_an_advisory_rule_refuses_and_says_its_level if levelled({"image.banned": "advisory"}, banned).levels == {"image.banned": "advisory"}

test_a_refusal_that_may_be_overridden_has_all_obligations if {
	levelled({"image.banned": "soft"}, banned).obligations == object.union(duties, {"regions": {region | some region in everywhere}})
}

test_a_refusal_by_a_hard_rule_too_has_no_levels if {
	answer := levelled({"image.banned": "soft"}, object.union(banned, {"principal": {"scopes": []}}))
	answer.rules == {"image.banned", "scope.missing"}
	not answer.levels
}

test_a_hard_level_is_none if not levelled({"image.banned": "hard"}, banned).levels

test_a_rule_without_a_level_is_hard if not levelled({"image.latest": "soft"}, banned).levels

levelled(levels, asked) := decision if {
	decision := submission.decision with input as asked
		with data.tenants as fixtures.world.tenants
		with data.residency as fixtures.world.residency
		with data.banned_images as fixtures.world.banned_images
		with data.banned_executors as fixtures.world.banned_executors
		with data.operators as fixtures.world.operators
		with data.levels as levels
		with data.house as {}
		with data.waypost.house as {}
}
