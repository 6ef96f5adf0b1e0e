{{- /* Which Service a listener belongs to: consumers, internal, or none. */ -}}
{{- define "rivmesh.servedAs" -}}
{{- if . -}}
{{- if eq "internal" (.kind | default "consumers") -}}
{{- if (.service).enabled }}internal{{ end }}
{{- else if dig "service" "enabled" true . -}}
consumers
{{- end }}
{{- end }}
{{- end }}
