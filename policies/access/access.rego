# May this caller read, list, cancel or retry runs, read or operate regions?
package waypost.access

import rego.v1

import data.waypost.answer
import data.waypost.caller
import data.waypost.document

scopes := {
	"runs:read": "workflows:read",
	"runs:list": "workflows:read",
	"runs:cancel": "workflows:cancel",
	"runs:retry": "workflows:submit",
	"regions:read": "regions:read",
	"regions:operate": "regions:operate",
}

on_a_run := {"runs:read", "runs:cancel", "runs:retry"}

refusals contains {"rule": "action.unknown", "message": "action: there is no rule for it"} if not scopes[input.action]

refusals contains {"rule": "scope.missing", "message": message} if {
	scope = scopes[input.action]
	not caller.granted(scope)
	message := sprintf("scope: %s is missing", [scope])
}

refusals contains refusal if {
	not caller.operator
	some refusal in caller.refusals
}

refusals contains {"rule": "run.missing", "message": "run: it is not said which"} if {
	input.action in on_a_run
	not is_string(input.context.run.tenant)
}

refusals contains {"rule": "tenant.foreign", "message": "tenant: the run is another tenant's"} if {
	tenant = input.context.run.tenant
	caller.foreign(tenant)
}

# A retry is a new decision about the run's document.
refusals contains refusal if {
	input.action == "runs:retry"
	some refusal in document.refusals
}

obligations := document.obligations if input.action == "runs:retry"

# `*` stands for every tenant.
obligations := {"tenants": ["*"]} if {
	input.action == "runs:list"
	caller.operator
}

obligations := {"tenants": [input.principal.tenant]} if {
	input.action == "runs:list"
	not caller.operator
}

obligations := {} if not input.action in {"runs:retry", "runs:list"}

decision := answer.permit(["scope.granted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = obligations
}

decision := answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
