# Builds the reasons of a refusal: each the id of its rule and a sentence for people. A house rule may give only the sentence.
package waypost.reasons

of(refusal) := refusal if is_object(refusal)

of(refusal) := {"rule": "house", "message": refusal} if is_string(refusal)

# The levels of the rules that refuse, where none of them is hard. They stand in `data.levels`, outside the rules.
levels(deny) := {reason.rule: data.levels[reason.rule] | some reason in deny} if {
	every reason in deny {
		data.levels[reason.rule] in {"advisory", "soft"}
	}
}

# The obligations with the fields of the input that the record of a decision leaves out, whether it permits or refuses.
masked(obligations) := object.union(obligations, {"mask": data.mask}) if {
	data.mask != []
} else := obligations
