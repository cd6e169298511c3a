package waypost.submission_test

import rego.v1

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

cases := {
	"a workflow within its tenant's limits": case(fixtures.submission({}), allowed(everywhere)),
	"a document that names no tenant": case(fixtures.submission({"workflow": {"metadata": {"tenant": null}}}), allowed(everywhere)),
	"the scope is missing": case(scoped(["workflows:read"]), fixtures.refused(["scope.missing"])),
	"a scope that only begins alike": case(scoped(["workflows:submit-all"]), fixtures.refused(["scope.missing"])),
	"a scope that only ends alike": case(scoped(["xworkflows:submit"]), fixtures.refused(["scope.missing"])),
	"a scope in other letter case": case(scoped(["Workflows:Submit"]), fixtures.refused(["scope.missing"])),
	"two scopes in one string": case(scoped(["workflows:submit workflows:read"]), fixtures.refused(["scope.missing"])),
	"no scopes at all": case(scoped([]), fixtures.refused(["scope.missing"])),
	"another tenant's workflow": case(for_tenant("research", {}), {
		"allow": false,
		"rules": ["tenant.foreign"],
		"reasons": [{"rule": "tenant.foreign", "message": "tenant: payments may not submit for research"}],
	}),
	"another tenant's workflow, by an operator's group": case(
		for_tenant("research", {"groups": ["/waypost/operators"]}),
		fixtures.refused(["executor.tenant"]),
	),
	"another tenant's workflow, by an operator's scope": case(
		for_tenant("research", {"scopes": ["waypost:operate", "workflows:submit"]}),
		fixtures.refused(["executor.tenant"]),
	),
	"a group that only begins like the operators'": case(
		for_tenant("research", {"groups": ["/waypost/operators/former"]}),
		fixtures.refused(["tenant.foreign"]),
	),
	"an operator without the scope to submit": case(
		for_tenant("payments", {"groups": ["/waypost/operators"], "scopes": []}),
		fixtures.refused(["scope.missing"]),
	),
	"an operator for a tenant that is not known": case(
		for_tenant("ghost", {"groups": ["/waypost/operators"]}),
		fixtures.refused(["placement.nowhere", "tenant.unknown"]),
	),
	"an operator whose document names no tenant": case(
		for_tenant(null, {"groups": ["/waypost/operators"]}),
		allowed(everywhere),
	),
	"a tenant of this issuer": bound(fixtures.submission({}), ["https://issuer.test"], allowed(everywhere)),
	"a tenant of another issuer": bound(fixtures.submission({}), ["https://other.test"], {
		"allow": false,
		"rules": ["tenant.issuer"],
		"reasons": [{"rule": "tenant.issuer", "message": "tenant: https://issuer.test does not speak for payments"}],
	}),
	"a tenant of no issuer": bound(fixtures.submission({}), [], fixtures.refused(["tenant.issuer"])),
	"an operator's group in another issuer's token": bound(
		for_tenant("research", {"groups": ["/waypost/operators"], "issuer": "https://other.test"}),
		["https://issuer.test"],
		fixtures.refused(["tenant.foreign", "tenant.issuer"]),
	),
	"an operator's scope in another issuer's token": bound(
		for_tenant("research", {"scopes": ["waypost:operate", "workflows:submit"], "issuer": "https://other.test"}),
		["https://issuer.test"],
		fixtures.refused(["tenant.foreign", "tenant.issuer"]),
	),
	"a tenant that is not known": case(
		fixtures.submission({"principal": {"tenant": "ghost"}, "workflow": {"metadata": {"tenant": "ghost"}}}),
		fixtures.refused(["placement.nowhere", "tenant.unknown"]),
	),
	"a caller without a tenant": case(
		fixtures.submission({"principal": {"tenant": null}}),
		fixtures.refused(["placement.nowhere", "tenant.foreign", "tenant.missing", "tenant.unknown"]),
	),
	"no document": case(
		{"action": "runs:submit", "at": 1764000000, "context": {}, "principal": fixtures.principal},
		fixtures.refused(["document.missing"]),
	),
	"data without operators": {
		"input": for_tenant("research", {"groups": ["/waypost/operators"]}),
		"data": object.remove(fixtures.world, ["operators"]),
		"want": fixtures.refused(["tenant.foreign"]),
	},
	"data with nothing but tenants": {
		"input": fixtures.picturing("docker.io/untrusted/x"),
		"data": {"tenants": {"payments": {"regions": ["beijing"]}}},
		"want": {"allow": true, "obligations": {"regions": ["beijing"]}},
	},
}

case(input_, want) := {"input": input_, "data": fixtures.world, "want": want}

# Data in which these issuers alone may name the tenant payments and operators.
bound(input_, issuers, want) := {
	"input": input_,
	"data": object.union(fixtures.world, {"tenants": {"payments": {"issuers": issuers}}, "operators": {"issuers": issuers}}),
	"want": want,
}

scoped(scopes) := fixtures.submission({"principal": {"scopes": scopes}})

for_tenant(tenant, principal) := fixtures.submission({"principal": principal, "workflow": {"metadata": {"tenant": tenant}}})

# `opa test` runs this rule too: the cases give the same decisions in OPA.
test_every_case if {
	every example in cases {
		decision := submission.decision with input as example.input
			with data.tenants as object.get(example.data, "tenants", {})
			with data.residency as object.get(example.data, "residency", {})
			with data.banned_images as object.get(example.data, "banned_images", [])
			with data.banned_executors as object.get(example.data, "banned_executors", [])
			with data.operators as object.get(example.data, "operators", {})
		decision.allow == example.want.allow
	}
}

test_the_rules_alone_refuse_without_data if {
	decision := submission.decision with input as fixtures.submission({}) with data.tenants as {}
	decision.allow == false
}

test_nothing_is_permitted_to_an_empty_question if {
	decision := submission.decision with input as {}
	decision.allow == false
}
