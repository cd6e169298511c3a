# Decides in which regions a stored run may be placed now. The principal is the submitter without scopes and
# groups: those were the token's, and are not stored.
package waypost.placement

import rego.v1

refusals := data.waypost.caller.refusals | data.waypost.document.refusals

decision := data.waypost.answer.permit(["document.permitted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = data.waypost.document.obligations
}

decision := data.waypost.answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
