{{/* The OPA of the gateway's pod: a sidecar that starts before the gateway, and ends after it. */}}
{{- define "waypost.opaContainer" -}}
- name: opa
  restartPolicy: Always
  image: {{ include "waypost.image" (dict "image" .Values.policy.opa.image "default" "") }}
  imagePullPolicy: {{ .Values.policy.opa.image.pullPolicy }}
  securityContext:
    {{- include "waypost.containerSecurity" . | nindent 4 }}
  args:
    - run
    - --server
    # The gateway alone asks it, by a socket that only their common user can open.
    - --addr=unix:///run/opa/opa.sock
    - --unix-socket-perm=700
    # Health and OPA's own metrics, for probes.
    - --diagnostic-addr=:8282
    - --config-file=/etc/opa/opa.yaml
    - --skip-version-check
    - --log-level=error
    - --shutdown-grace-period=1
  # No secret may stand here: rules can print OPA's environment.
  env:
    - {name: GOGC, value: "400"}
  ports:
    - {name: opa-health, containerPort: 8282}
  # No startup probe: OPA has no rules before the gateway, which waits for its start, has handed it a bundle.
  livenessProbe:
    httpGet: {path: /health, port: opa-health}
    periodSeconds: 10
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: "/health?bundles", port: opa-health}
    periodSeconds: 5
  resources:
    {{- toYaml .Values.policy.opa.resources | nindent 4 }}
  volumeMounts:
    - {name: opa-socket, mountPath: /run/opa}
    - {name: opa-state, mountPath: /var/lib/opa}
    - {name: config, mountPath: /etc/opa/opa.yaml, subPath: opa.yaml, readOnly: true}
{{- end -}}
