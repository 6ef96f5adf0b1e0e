{{- /* Pieces of NetworkPolicies. Ports are the pods' own, by number: not every network knows their names. */ -}}

{{- /* A rule: (list "from"|"to" PEERS PORTS). No peers: everybody. */ -}}
{{- define "rivmesh.rule" -}}
- ports:
  {{- range index . 2 }}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
  {{- with index . 1 }}
  {{ index $ 0 }}:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* Name servers, by UDP and, for long answers, TCP. */ -}}
{{- define "rivmesh.dnsRule" -}}
{{- with .Values.networkPolicy.dns -}}
- ports:
  {{- range .ports }}
  - {port: {{ . }}, protocol: UDP}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
  {{- with .to }}
  to:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The pods of a component as a list of peers: (list $ COMPONENT). */ -}}
{{- define "rivmesh.peers" -}}
- podSelector:
    matchLabels:
      {{- include "rivmesh.selector" . | nindent 6 }}
{{- end }}
