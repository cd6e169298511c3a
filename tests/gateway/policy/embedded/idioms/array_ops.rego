package idiom

names := [t.name | some t in input.workflow.spec.tasks]
first := names[0]
last := names[count(names) - 1]
sl := array.slice(names, 1, 3)
rev := array.reverse(names)
cc := array.concat(names, ["z"])
r := numbers.range(1, 5)
srt := sort([3, 1, 2])
flat := [x | some t in input.workflow.spec.tasks; some x in object.get(t.run, "command", [])]
