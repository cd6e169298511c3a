{{/* A file of observability/, which the build of the chart has put into it: (dict "root" $ "name" NAME). */}}
{{- define "waypost.file" -}}
{{- $text := .root.Files.Get (printf "files/%s" .name) -}}
{{- if not $text -}}
{{- fail (printf "files/%s is not in this chart: it was not built (make chart)" .name) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* A matcher of Alertmanager's configuration, such as alertname=~"A|B", as the operator has it, in JSON. */}}
{{- define "waypost.matcher" -}}
{{- $pattern := `^([A-Za-z_]+)(=~|!~|!=|=)"?([^"]*)"?$` -}}
{{- if not (regexMatch $pattern .) -}}
{{- fail (printf "observability/alertmanager: no matcher: %s" .) -}}
{{- end -}}
{{- dict "name" (regexReplaceAll $pattern . "${1}") "matchType" (regexReplaceAll $pattern . "${2}") "value" (regexReplaceAll $pattern . "${3}") | toJson -}}
{{- end -}}

{{/* A route of Alertmanager's configuration with the operator's names, in JSON. */}}
{{- define "waypost.route" -}}
{{- $route := dict -}}
{{- range $from, $to := dict "receiver" "receiver" "continue" "continue" "group_by" "groupBy" "group_wait" "groupWait" "group_interval" "groupInterval" "repeat_interval" "repeatInterval" -}}
{{- if hasKey $ $from -}}{{- $_ := set $route $to (get $ $from) -}}{{- end -}}
{{- end -}}
{{- $matchers := list -}}
{{- range .matchers -}}{{- $matchers = append $matchers (include "waypost.matcher" . | fromJson) -}}{{- end -}}
{{- if $matchers -}}{{- $_ := set $route "matchers" $matchers -}}{{- end -}}
{{- toJson $route -}}
{{- end -}}
