# Decides whether a caller may read, list, cancel or retry runs, read or operate regions, and read who did so.
package waypost.access

import rego.v1

scopes := {
	"runs:read": "workflows:read",
	"runs:list": "workflows:read",
	"runs:cancel": "workflows:cancel",
	"runs:retry": "workflows:submit",
	"regions:read": "regions:read",
	"regions:operate": "regions:operate",
	"audit:read": "audit:read",
}

of_tenants := {"runs:list", "audit:read"}

on_a_run := {"runs:read", "runs:cancel", "runs:retry"}

refusals contains {"rule": "action.unknown", "message": "action: there is no rule for it"} if not known_action

known_action if scopes[input.action]

refusals contains {"rule": "scope.missing", "message": message} if {
	scope = scopes[input.action]
	not data.waypost.caller.granted(scope)
	message := sprintf("scope: %s is missing", [scope])
}

refusals contains refusal if {
	not data.waypost.caller.operator
	some refusal in data.waypost.caller.refusals
}

refusals contains {"rule": "run.missing", "message": "run: it is not said which"} if {
	input.action in on_a_run
	not named
}

named if is_string(input.context.run.tenant)

refusals contains {"rule": "tenant.foreign", "message": "tenant: the run is another tenant's"} if {
	tenant = input.context.run.tenant
	data.waypost.caller.foreign(tenant)
}

# A retry is decided like a submission of the run's document.
refusals contains refusal if {
	input.action == "runs:retry"
	some refusal in data.waypost.document.refusals
}

obligations := data.waypost.document.obligations if input.action == "runs:retry"

# `*` stands for every tenant.
obligations := {"tenants": ["*"]} if {
	input.action in of_tenants
	data.waypost.caller.operator
}

obligations := {"tenants": [input.principal.tenant]} if {
	input.action in of_tenants
	not data.waypost.caller.operator
}

obligations := {} if not bound

bound if input.action in {"runs:retry", "runs:list", "audit:read"}

decision := data.waypost.answer.permit(["scope.granted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = obligations
}

decision := data.waypost.answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
