package waypost.access_test

import data.waypost.access
import data.waypost.fixtures

test_reading_a_run if case(fixtures.acting("runs:read", {}), allowed({}))

test_reading_without_the_scope if case(fixtures.acting("runs:read", scoped(["workflows:submit"])), {
	"allow": false,
	"rules": ["scope.missing"],
	"reasons": [{"rule": "scope.missing", "message": "scope: workflows:read is missing"}],
})

test_reading_another_tenants_run if case(fixtures.acting("runs:read", foreign), {
	"allow": false,
	"rules": ["tenant.foreign"],
	"reasons": [{"rule": "tenant.foreign", "message": "tenant: the run is another tenant's"}],
})

test_reading_another_tenants_run_by_an_operator if case(fixtures.acting("runs:read", object.union(foreign, operator)), allowed({}))

test_reading_no_run if case(fixtures.asking("runs:read", {}), fixtures.refused(["run.missing"]))

test_reading_no_run_by_an_operator if case(fixtures.asking("runs:read", operator), fixtures.refused(["run.missing"]))

test_reading_by_a_tenant_that_is_not_known if case(
	fixtures.acting("runs:read", {"principal": {"tenant": "ghost"}, "context": {"run": {"tenant": "ghost"}}}),
	fixtures.refused(["tenant.unknown"]),
)

test_reading_by_an_operator_of_a_tenant_that_is_not_known if case(
	fixtures.acting("runs:read", object.union(operator, {"principal": {"tenant": "ghost"}})),
	allowed({}),
)

test_reading_by_a_caller_without_a_tenant if case(
	fixtures.acting("runs:read", {"principal": {"tenant": null}}),
	fixtures.refused(["tenant.foreign", "tenant.missing", "tenant.unknown"]),
)

test_listing if case(fixtures.asking("runs:list", {}), allowed({"tenants": ["payments"]}))

test_listing_by_an_operator if case(fixtures.asking("runs:list", operator), allowed({"tenants": ["*"]}))

test_listing_without_the_scope if case(fixtures.asking("runs:list", scoped([])), fixtures.refused(["scope.missing"]))

test_cancelling if case(fixtures.acting("runs:cancel", {}), allowed({}))

test_cancelling_without_the_scope if case(
	fixtures.acting("runs:cancel", scoped(["workflows:read", "workflows:submit"])),
	fixtures.refused(["scope.missing"]),
)

test_cancelling_another_tenants_run if case(fixtures.acting("runs:cancel", foreign), fixtures.refused(["tenant.foreign"]))

test_cancelling_no_run if case(fixtures.asking("runs:cancel", {}), fixtures.refused(["run.missing"]))

test_trying_again if case(
	fixtures.acting("runs:retry", {"workflow": fixtures.workflow}),
	allowed({"regions": ["beijing", "shanghai", "shenzhen"], "max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600}),
)

test_trying_again_without_the_scope if case(
	fixtures.acting("runs:retry", object.union(scoped(["workflows:read", "workflows:cancel"]), {"workflow": fixtures.workflow})),
	fixtures.refused(["scope.missing"]),
)

test_trying_another_tenants_run_again if case(
	fixtures.acting("runs:retry", object.union(foreign, {"workflow": fixtures.workflow})),
	fixtures.refused(["tenant.foreign"]),
)

test_trying_no_run_again if case(fixtures.asking("runs:retry", {"workflow": fixtures.workflow}), fixtures.refused(["run.missing"]))

test_trying_again_without_a_document if case(fixtures.acting("runs:retry", {}), fixtures.refused(["document.missing"]))

test_trying_again_what_is_no_longer_permitted if case(
	fixtures.acting("runs:retry", {"workflow": object.union(fixtures.workflow, {"spec": {"priority": 9}})}),
	fixtures.refused(["priority.cap"]),
)

test_reading_regions if case(
	fixtures.asking("regions:read", scoped(["regions:read"])),
	allowed({}),
)

test_an_operator_sees_who_has_cordoned if case(
	fixtures.asking("regions:read", object.union(operator, scoped(["regions:read"]))),
	allowed({"tenants": ["*"]}),
)

test_who_may_cordon_sees_who_has if case(
	fixtures.asking("regions:read", scoped(["regions:read", "regions:operate"])),
	allowed({"tenants": ["*"]}),
)

test_reading_regions_without_the_scope if case(
	fixtures.asking("regions:read", scoped(["regions:operate"])),
	fixtures.refused(["scope.missing"]),
)

test_reading_who_did_what if case(fixtures.asking("audit:read", {}), allowed({"tenants": ["payments"]}))

test_reading_who_did_what_without_the_scope if case(
	fixtures.asking("audit:read", scoped(["regions:operate"])),
	fixtures.refused(["scope.missing"]),
)

test_operating_regions if case(fixtures.asking("regions:operate", {}), allowed({}))

test_operating_regions_without_the_scope if case(
	fixtures.asking("regions:operate", scoped(["regions:read"])),
	fixtures.refused(["scope.missing"]),
)

test_operating_the_routing if case(fixtures.asking("routing:operate", {}), allowed({}))

test_operating_the_routing_without_the_scope if case(
	fixtures.asking("routing:operate", scoped(["regions:operate"])),
	fixtures.refused(["scope.missing"]),
)

test_operating_retention if case(
	fixtures.asking("retention:operate", {"principal": {"groups": ["/waypost/operators"]}}),
	allowed({}),
)

test_operating_retention_without_the_scope if case(
	fixtures.asking("retention:operate", {"principal": {"groups": ["/waypost/operators"], "scopes": ["regions:operate"]}}),
	fixtures.refused(["scope.missing"]),
)

test_operating_retention_by_who_is_no_operator if case(fixtures.asking("retention:operate", {}), fixtures.refused(["retention.operator"]))

test_reading_policy if case(fixtures.asking("policy:read", {}), allowed({}))

test_reading_policy_without_the_scope if case(
	fixtures.asking("policy:read", scoped(["policy:operate"])),
	fixtures.refused(["scope.missing"]),
)

test_changing_policy if case(fixtures.asking("policy:operate", security), allowed({}))

test_changing_policy_by_a_scope_of_security if case(
	fixtures.asking("policy:operate", scoped(["policy:operate", "waypost:secure"])),
	allowed({}),
)

test_changing_policy_without_the_scope if case(
	fixtures.asking("policy:operate", {"principal": {"groups": ["/waypost/security"], "scopes": ["policy:read"]}}),
	fixtures.refused(["scope.missing"]),
)

test_changing_policy_by_who_is_not_of_security if case(fixtures.asking("policy:operate", {}), fixtures.refused(["policy.security"]))

test_changing_policy_by_an_operator if case(fixtures.asking("policy:operate", operator), fixtures.refused(["policy.security"]))

test_changing_policy_from_a_tenant_that_is_not_known if case(
	fixtures.asking("policy:operate", {"principal": {"tenant": "ghost", "groups": ["/waypost/security"]}}),
	allowed({}),
)

test_steps_that_others_must_approve if {
	every operation in ["canary", "activate"] {
		operating(operation, {"groups": ["/waypost/security"], "approvals": 2}).obligations == {"approvals": 2}
		operating(operation, {"groups": ["/waypost/security"]}).obligations == {}
	}
	every operation in ["upload", "shadow", "rollback", "approve"] {
		operating(operation, {"groups": ["/waypost/security"], "approvals": 2}).obligations == {}
	}
}

operating(operation, security_data) := decision if {
	question := fixtures.asking("policy:operate", object.union(security, {"context": {"policy": {"operation": operation}}}))
	decision := access.decision with input as question
		with data.tenants as fixtures.world.tenants
		with data.security as security_data
		with data.waypost.house as {}
	decision.allow
}

test_security_operators_have_no_runs_of_others if case(
	fixtures.acting("runs:read", object.union(foreign, security)),
	fixtures.refused(["tenant.foreign"]),
)

case(question, want) if fixtures.holds({"input": question, "data": fixtures.world, "want": want})

allowed(obligations) := {"allow": true, "rules": ["scope.granted", "tenant.permitted"], "reasons": [], "obligations": obligations}

foreign := {"context": {"run": {"tenant": "research"}}}

operator := {"principal": {"groups": ["/waypost/operators"]}}

security := {"principal": {"groups": ["/waypost/security"]}}

scoped(scopes) := {"principal": {"scopes": scopes}}

house := {"read": {"no reading"}, "operate": {"no operating"}, "retry": {"no retrying"}, "submit": {"no"}}

refused_by_the_house(action) := {reason.message | some reason in decision.reasons} if {
	decision := access.decision with input as fixtures.acting(action, {"workflow": fixtures.workflow})
		with data.tenants as fixtures.world.tenants
		with data.security as {"scopes": ["policy:operate"]}
		with data.waypost.house as house
}

test_house_rules_for_reading if {
	every action in ["runs:read", "runs:list", "regions:read", "audit:read", "releases:read", "policy:read"] {
		refused_by_the_house(action) == {"no reading"}
	}
}

test_house_rules_for_operating if {
	every action in ["runs:cancel", "regions:operate", "routing:operate", "policy:operate"] {
		refused_by_the_house(action) == {"no operating"}
	}
}

test_a_house_rule_for_retries if refused_by_the_house("runs:retry") == {"no retrying"}

test_an_action_without_a_rule_is_refused if {
	every action in ["runs:erase", "", null, "RUNS:READ"] {
		decision := access.decision with input as fixtures.acting(action, {}) with data.tenants as fixtures.world.tenants
		decision.allow == false
		decision.rules == {"action.unknown"}
	}
}

test_nothing_is_permitted_to_an_empty_question if {
	decision := access.decision with input as {}
	decision.allow == false
}

test_the_record_leaves_out_what_is_masked if {
	every tenant in ["payments", "research"] {
		question := fixtures.acting("runs:cancel", {"context": {"run": {"tenant": tenant}}})
		decision := access.decision with input as question
			with data.tenants as fixtures.world.tenants
			with data.mask as ["/context/run/labels"]
		decision.obligations.mask == ["/context/run/labels"]
	}
}

excepted(changes) := object.union({"context": {"exception": {"tenant": "payments", "rule": "image.banned"}}}, changes)

test_asking_for_an_exception if case(fixtures.asking("exceptions:ask", excepted({})), allowed({}))

test_asking_for_another_tenants_exception if case(
	fixtures.asking("exceptions:ask", excepted({"context": {"exception": {"tenant": "research"}}})),
	fixtures.refused(["tenant.foreign"]),
)

test_asking_without_the_scope if case(fixtures.asking("exceptions:ask", excepted(scoped([]))), fixtures.refused(["scope.missing"]))

test_asking_without_a_tenant if case(fixtures.asking("exceptions:ask", {}), fixtures.refused(["exception.missing"]))

test_approving_an_exception if case(fixtures.asking("exceptions:approve", excepted(operator)), allowed({}))

test_approving_by_the_tenant_itself if case(fixtures.asking("exceptions:approve", excepted({})), fixtures.refused(["exception.approver"]))

test_approving_without_the_scope if case(
	fixtures.asking("exceptions:approve", excepted(object.union(operator, {"principal": {"scopes": ["exceptions:ask"]}}))),
	fixtures.refused(["scope.missing"]),
)

test_revoking_an_exception if case(fixtures.asking("exceptions:revoke", excepted({})), allowed({}))

test_listing_exceptions if case(fixtures.asking("exceptions:read", {}), allowed({"tenants": ["payments"]}))

test_an_advisory_rule_of_the_house_says_its_level if {
	answer := access.decision with input as fixtures.acting("runs:read", {})
		with data.tenants as fixtures.world.tenants
		with data.levels as {"house": "advisory"}
		with data.house as {}
		with data.waypost.house as house
	answer.levels == {"house": "advisory"}
}

released(changes) := object.union(
	{"context": {"release": {"tenant": "payments", "workflow": "nightly", "operation": "promote", "version": 2}}},
	changes,
)

test_releasing_a_workflow if case(fixtures.asking("releases:operate", released({})), allowed({}))

test_releasing_another_tenants_workflow if case(
	fixtures.asking("releases:operate", released({"context": {"release": {"tenant": "research"}}})),
	fixtures.refused(["tenant.foreign"]),
)

test_releasing_without_the_scope if case(
	fixtures.asking("releases:operate", released(scoped(["workflows:submit"]))),
	fixtures.refused(["scope.missing"]),
)

test_releasing_for_no_tenant if case(fixtures.asking("releases:operate", {}), fixtures.refused(["release.missing"]))

test_listing_releases if case(fixtures.asking("releases:read", {}), allowed({"tenants": ["payments"]}))

test_listing_releases_by_an_operator if case(fixtures.asking("releases:read", operator), allowed({"tenants": ["*"]}))

test_a_house_rule_for_releases if {
	decision := access.decision with input as fixtures.acting("releases:operate", released({}))
		with data.tenants as fixtures.world.tenants
		with data.waypost.house as house
	{reason.message | some reason in decision.reasons} == {"no operating"}
}
