{{- define "rivmesh.operatorSubject" -}}
{kind: ServiceAccount, name: {{ include "rivmesh.serviceAccount" (list $ "operator") | quote }}, namespace: {{ .Release.Namespace | quote }}}
{{- end }}

{{- /* What the operator may do where it watches: read the three kinds, write their status, tell events. It never changes a spec. */ -}}
{{- define "rivmesh.watchRules" -}}
- apiGroups: [rivmesh.io]
  resources: [routingentries, callauthorizations, servicecontracts]
  verbs: [get, list, watch]
- apiGroups: [rivmesh.io]
  resources: [routingentries/status, callauthorizations/status, servicecontracts/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
