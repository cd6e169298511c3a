# Decides who may read, list, cancel and retry runs, read and operate regions and their routing, read the audit trail, and change policy.
package waypost.access

import data.waypost.caller
import data.waypost.document
import data.waypost.house
import data.waypost.reasons

# The scope that each action needs.
scopes := {
	"runs:read": "workflows:read",
	"runs:list": "workflows:read",
	"runs:cancel": "workflows:cancel",
	"runs:retry": "workflows:submit",
	"regions:read": "regions:read",
	"regions:operate": "regions:operate",
	"routing:operate": "routing:operate",
	"audit:read": "audit:read",
	"retention:operate": "retention:operate",
	"exceptions:read": "workflows:read",
	"exceptions:ask": "exceptions:ask",
	"exceptions:approve": "exceptions:approve",
	"exceptions:revoke": "exceptions:ask",
	"releases:read": "workflows:read",
	"releases:operate": "workflows:release",
	"policy:read": "policy:read",
	"policy:operate": "policy:operate",
}

decision := {
	"allow": true,
	"rules": ({"scope.granted", "tenant.permitted"} | closing_rules),
	"reasons": [],
	"obligations": reasons.masked(obligations),
} if {
	count(deny) == 0
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in deny},
	"reasons": deny,
	"levels": levels,
	"obligations": reasons.masked(obligations),
} if {
	levels := reasons.levels(deny)
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in deny},
	"reasons": deny,
	"obligations": reasons.masked({}),
}

deny contains {"rule": "action.unknown", "message": "action: there is no rule for it"} if not scopes[input.action]

deny contains {"rule": "scope.missing", "message": message} if {
	not granted
	message := sprintf("scope: %s is missing", [scopes[input.action]])
}

granted if scopes[input.action] in input.principal.scopes

# An operator may belong to a tenant that is not known here.
deny contains reason if {
	not caller.operator
	not caller.security_operator
	some reason in caller.deny
}

deny contains {"rule": "policy.security", "message": "policy: only security operators change it"} if {
	input.action == "policy:operate"
	not caller.security_operator
}

# What is deleted is of all tenants.
deny contains {"rule": "retention.operator", "message": "retention: only operators look at it and begin it"} if {
	input.action == "retention:operate"
	not caller.operator
}

deny contains {"rule": "run.missing", "message": "run: it is not said which"} if {
	input.action in {"runs:read", "runs:cancel", "runs:retry"}
	not is_named
}

is_named if is_string(input.context.run.tenant)

deny contains {"rule": "tenant.foreign", "message": "tenant: the run is another tenant's"} if {
	caller.foreign(input.context.run.tenant)
}

deny contains {"rule": "exception.missing", "message": "exception: it is not said for which tenant"} if {
	input.action in {"exceptions:ask", "exceptions:approve", "exceptions:revoke"}
	not is_excepted
}

is_excepted if is_string(input.context.exception.tenant)

deny contains {"rule": "tenant.foreign", "message": "tenant: the exception is another tenant's"} if {
	caller.foreign(input.context.exception.tenant)
}

deny contains {"rule": "release.missing", "message": "release: it is not said of which tenant"} if {
	input.action == "releases:operate"
	not is_released
}

is_released if is_string(input.context.release.tenant)

deny contains {"rule": "tenant.foreign", "message": "tenant: the workflow is another tenant's"} if {
	caller.foreign(input.context.release.tenant)
}

# A tenant does not approve exceptions from the rules that bind it.
deny contains {"rule": "exception.approver", "message": "exception: operators approve it"} if {
	input.action == "exceptions:approve"
	not caller.operator
}

# A retry is decided like a submission of the run's document.
deny contains reason if {
	input.action == "runs:retry"
	some reason in document.deny
}

deny contains reasons.of(refusal) if {
	input.action in {"runs:read", "runs:list", "regions:read", "audit:read", "exceptions:read", "releases:read", "policy:read"}
	some refusal in house.read
}

deny contains reasons.of(refusal) if {
	input.action in {
		"runs:cancel",
		"regions:operate",
		"routing:operate",
		"retention:operate",
		"exceptions:ask",
		"exceptions:approve",
		"exceptions:revoke",
		"releases:operate",
		"policy:operate",
	}
	some refusal in house.operate
}

deny contains reasons.of(refusal) if {
	input.action == "runs:retry"
	some refusal in house.retry
}

# The tenants whose runs the caller may see in lists; `*` stands for every tenant.
obligations := {"tenants": ["*"]} if {
	input.action in {"runs:list", "audit:read", "exceptions:read", "releases:read"}
	caller.operator
} else := {"tenants": [input.principal.tenant]} if {
	input.action in {"runs:list", "audit:read", "exceptions:read", "releases:read"}
} else := {"tenants": ["*"]} if {
	input.action == "regions:read"
	sees_operators
} else := document.obligations if {
	input.action == "runs:retry"
} else := {"approvals": data.security.approvals} if {
	input.action == "policy:operate"
	input.context.policy.operation in {"canary", "activate"}
} else := {}

# Who may end a cordon sees who has set it; others see that there is one.
sees_operators if caller.operator

sees_operators if "regions:operate" in input.principal.scopes

closing_rules := document.closing_rules if {
	input.action == "runs:retry"
} else := set()
