package waypost.access_test

import rego.v1

import data.waypost.access
import data.waypost.fixtures

cases := {
	"reading a run": case(fixtures.acting("runs:read", {}), allowed({})),
	"reading without the scope": case(fixtures.acting("runs:read", scoped(["workflows:submit"])), {
		"allow": false,
		"rules": ["scope.missing"],
		"reasons": [{"rule": "scope.missing", "message": "scope: workflows:read is missing"}],
	}),
	"reading another tenant's run": case(fixtures.acting("runs:read", foreign), {
		"allow": false,
		"rules": ["tenant.foreign"],
		"reasons": [{"rule": "tenant.foreign", "message": "tenant: the run is another tenant's"}],
	}),
	"reading another tenant's run, by an operator": case(fixtures.acting("runs:read", object.union(foreign, operator)), allowed({})),
	"reading no run": case(fixtures.asking("runs:read", {}), fixtures.refused(["run.missing"])),
	"reading no run, by an operator": case(fixtures.asking("runs:read", operator), fixtures.refused(["run.missing"])),
	"reading by a tenant that is not known": case(
		fixtures.acting("runs:read", {"principal": {"tenant": "ghost"}, "context": {"run": {"tenant": "ghost"}}}),
		fixtures.refused(["tenant.unknown"]),
	),
	"reading by an operator of a tenant that is not known": case(
		fixtures.acting("runs:read", object.union(operator, {"principal": {"tenant": "ghost"}})),
		allowed({}),
	),
	"reading by a caller without a tenant": case(
		fixtures.acting("runs:read", {"principal": {"tenant": null}}),
		fixtures.refused(["tenant.foreign", "tenant.missing", "tenant.unknown"]),
	),
	"listing": case(fixtures.asking("runs:list", {}), allowed({"tenants": ["payments"]})),
	"listing by an operator": case(fixtures.asking("runs:list", operator), allowed({"tenants": ["*"]})),
	"listing without the scope": case(fixtures.asking("runs:list", scoped([])), fixtures.refused(["scope.missing"])),
	"cancelling": case(fixtures.acting("runs:cancel", {}), allowed({})),
	"cancelling without the scope": case(
		fixtures.acting("runs:cancel", scoped(["workflows:read", "workflows:submit"])),
		fixtures.refused(["scope.missing"]),
	),
	"cancelling another tenant's run": case(fixtures.acting("runs:cancel", foreign), fixtures.refused(["tenant.foreign"])),
	"cancelling no run": case(fixtures.asking("runs:cancel", {}), fixtures.refused(["run.missing"])),
	"trying again": case(
		fixtures.acting("runs:retry", {"workflow": fixtures.workflow}),
		allowed({"regions": ["beijing", "shanghai", "shenzhen"], "max_priority": 7, "max_shards": 8, "max_deadline_seconds": 3600}),
	),
	"trying again without the scope": case(
		fixtures.acting("runs:retry", object.union(scoped(["workflows:read", "workflows:cancel"]), {"workflow": fixtures.workflow})),
		fixtures.refused(["scope.missing"]),
	),
	"trying another tenant's run again": case(
		fixtures.acting("runs:retry", object.union(foreign, {"workflow": fixtures.workflow})),
		fixtures.refused(["tenant.foreign"]),
	),
	"trying no run again": case(fixtures.asking("runs:retry", {"workflow": fixtures.workflow}), fixtures.refused(["run.missing"])),
	"trying again without a document": case(fixtures.acting("runs:retry", {}), fixtures.refused(["document.missing"])),
	"trying again what is no longer permitted": case(
		fixtures.acting("runs:retry", {"workflow": object.union(fixtures.workflow, {"spec": {"priority": 9}})}),
		fixtures.refused(["priority.cap"]),
	),
	"reading regions": case(fixtures.asking("regions:read", {}), allowed({})),
	"reading regions without the scope": case(
		fixtures.asking("regions:read", scoped(["regions:operate"])),
		fixtures.refused(["scope.missing"]),
	),
	"reading who did what": case(fixtures.asking("audit:read", {}), allowed({"tenants": ["payments"]})),
	"reading who did what without the scope": case(
		fixtures.asking("audit:read", scoped(["regions:operate"])),
		fixtures.refused(["scope.missing"]),
	),
	"operating regions": case(fixtures.asking("regions:operate", {}), allowed({})),
	"operating regions without the scope": case(
		fixtures.asking("regions:operate", scoped(["regions:read"])),
		fixtures.refused(["scope.missing"]),
	),
}

case(input_, want) := {"input": input_, "data": fixtures.world, "want": want}

allowed(obligations) := {"allow": true, "rules": ["scope.granted", "tenant.permitted"], "reasons": [], "obligations": obligations}

foreign := {"context": {"run": {"tenant": "research"}}}

operator := {"principal": {"groups": ["/waypost/operators"]}}

scoped(scopes) := {"principal": {"scopes": scopes}}

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
