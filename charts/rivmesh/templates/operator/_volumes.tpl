{{- /* Volumes of the operator: its certificate, where somebody else makes it, and HSA unit files; (dict "root" $ "paths" PATHS). */ -}}
{{- define "rivmesh.operatorVolumes" -}}
{{- with include "rivmesh.operatorCertificate" .root }}
- name: tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
    items:
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
{{- end }}
{{- with .paths }}
- name: hsa-units
  projected:
    defaultMode: 0440
    sources:
    {{- include "rivmesh.sources" . | trim | nindent 4 }}
{{- end }}
{{- range include "rivmesh.hsaClaims" .root | fromJsonArray }}
- name: hsa-{{ . }}
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
{{- end }}
{{- end }}

{{- /* Claims that hold HSA unit files, each once, as a JSON array. */ -}}
{{- define "rivmesh.hsaClaims" -}}
{{- $claims := list }}
{{- range .Values.hsaUnits }}
{{- with .claim }}
{{- $claims = append $claims . }}
{{- end }}
{{- end }}
{{- uniq $claims | toJson }}
{{- end }}

{{- /* Namespaces whose objects count, as a JSON array; the release's own unless others are named. */ -}}
{{- define "rivmesh.watchedNamespaces" -}}
{{- .Values.operator.watchNamespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}
