# The shape of every decision, as the gateway reads it. Anything else is a refusal there.
package waypost.answer

import rego.v1

# Permitted: the ids of the rules that let it in, and what holds for the work.
permit(rules, obligations) := {
	"allow": true,
	"rules": rules,
	"reasons": [],
	"obligations": obligations,
}

# Refused: each reason is {"rule": a stable id, "message": a sentence}.
refuse(reasons) := {
	"allow": false,
	"rules": {rule | rule = reasons[_].rule},
	"reasons": reasons,
	"obligations": {},
}
