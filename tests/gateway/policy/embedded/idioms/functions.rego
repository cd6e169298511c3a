package idiom

split_image(image) := {"repo": repo, "tag": tag} if [repo, tag] := split(image, ":")
split_image(image) := {"repo": image, "tag": "latest"} if not contains(image, ":")
imgs := [split_image(t.run.image) | some t in input.workflow.spec.tasks]
