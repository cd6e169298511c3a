# Builds decisions as the gateway parses them. It refuses on anything else.
package waypost.answer

import rego.v1

# A permission: the ids of the rules that permit, and the obligations of the work.
permit(rules, obligations) := {
	"allow": true,
	"rules": rules,
	"reasons": [],
	"obligations": obligations,
}

# A refusal: each reason is {"rule": a stable id, "message": a sentence}.
refuse(reasons) := {
	"allow": false,
	"rules": {rule | rule = reasons[_].rule},
	"reasons": reasons,
	"obligations": {},
}
