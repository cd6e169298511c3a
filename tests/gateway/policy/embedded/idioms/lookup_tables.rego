package idiom

cap := {true: 10, false: 5}[input.workflow.metadata.labels.tier == "gold"]
cap2 := [5, 10][to_number(is_gold)]
is_gold := input.workflow.metadata.labels.tier == "gold"
