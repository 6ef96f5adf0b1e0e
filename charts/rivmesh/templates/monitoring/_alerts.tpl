{{- /*
The alerts, as a list. Every description says what to do; more stands in docs/src/reference/alerts.md under the alert's name. Series are
told apart by namespace. A counter that was never counted is absent, so that its first sample is no increase: where one occurrence
matters, the expression also asks whether the series is new.
*/ -}}
{{- define "rivmesh.alerts" -}}
{{- $value := .Values.monitoring.rules }}
{{- $ns := printf "namespace=%q" .Release.Namespace }}
{{- /* What Prometheus fills in, so that the sentences below stay readable. */}}
{{- $certificate := "{{ $labels.certificate }}" }}
{{- $crl := "{{ $labels.crl }}" }}
{{- $file := "{{ $labels.file }}" }}
{{- $pod := "{{ $labels.pod }}" }}
{{- $kind := "{{ $labels.kind }}" }}
{{- $contract := "{{ $labels.contract }}" }}
{{- $state := "{{ $labels.state }}" }}
{{- $listener := "{{ $labels.listener }}" }}
{{- $number := "{{ $value | humanize }}" }}
{{- $share := "{{ $value | humanizePercentage }}" }}
{{- $time := "{{ $value | humanizeDuration }}" }}
- alert: RivmeshNoReadyDataplane
  expr: absent(rivmesh_ready{ {{- $ns -}} } == 1)
  for: 1m
  labels: {severity: critical}
  annotations:
    summary: "No dataplane is ready, so no call is answered"
    description: >-
      A pod says what it waits for, listeners, identity or table: forward its port 9901 and read /readyz. A pod that is still being created
      waits for a Secret, a ConfigMap or the operator's certificate: `kubectl describe pod` names it.
- alert: RivmeshTableHeld
  expr: max(rivmesh_operator_table_held{ {{- $ns -}} }) == 1
  for: 1m
  labels: {severity: critical}
  annotations:
    summary: "The shrink guard holds a table back"
    description: >-
      A new table has lost so many rows that it looks like an accident. The one before stays in force; every change since waits, revocations
      too. Restore what is missing, or, if it is meant, release the table: `kubectl rivmesh release`.
- alert: RivmeshTableStale
  expr: rivmesh_table_age_seconds{ {{- $ns -}} } > {{ $value.tableAgeSeconds }}
  for: 2m
  labels: {severity: warning}
  annotations:
    summary: "Dataplane {{ $pod }} routes by a table that is {{ $time }} old"
    description: >-
      It has not heard from an operator. Calls go on by the last good table, and changes do not reach this pod. See whether operators are ready
      and what the pod's log says about the connection.
- alert: RivmeshTableRejected
  expr: increase(rivmesh_tables_rejected_total{ {{- $ns -}} }[15m]) > 0 or (rivmesh_tables_rejected_total{ {{- $ns -}} } > 0 unless rivmesh_tables_rejected_total{ {{- $ns -}} } offset 15m)
  labels: {severity: critical}
  annotations:
    summary: "Dataplane {{ $pod }} refused a table"
    description: >-
      It keeps the table before, and would have none after a restart on an empty disk. Its log names the shard and the reason; most often operator
      and dataplane are of different versions.
- alert: RivmeshTableNotSaved
  expr: rivmesh_table_unsaved{ {{- $ns -}} } == 1
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: "Dataplane {{ $pod }} cannot save its table"
    description: >-
      Calls go on by the table in memory. If the pod restarts while no operator can be reached, it begins with an older table or with none. Its
      /status says why in table.unsaved: most often the disk is full. Make room, and the table is saved within a minute.
- alert: RivmeshDataplaneNotFollowing
  expr: max by (state) (rivmesh_operator_dataplanes{ {{- $ns -}} , state=~"silent|refusing|missing"}) > 0
  for: 3m
  labels: {severity: warning}
  annotations:
    summary: "{{ $number }} dataplanes are {{ $state }}"
    description: >-
      They are ready for calls and do not follow the newest table, so that a change is not in force everywhere. The operator's /status names them;
      their logs say why. Deleting such a pod replaces it by one that follows.
- alert: RivmeshNoLeader
  expr: absent(rivmesh_operator_leader{ {{- $ns -}} } == 1)
  for: 2m
  labels: {severity: warning}
  annotations:
    summary: "No operator holds the lease"
    description: >-
      Tables are served, and nobody writes status: objects look as they looked before. See whether operators run and what their logs say about the
      Lease.
- alert: RivmeshSourceStale
  expr: max by (kind) (rivmesh_operator_source_stale_seconds{ {{- $ns -}} }) > {{ $value.sourceStaleSeconds }}
  for: 1m
  labels: {severity: warning}
  annotations:
    summary: "An operator has heard nothing about {{ $kind }} for {{ $time }}"
    description: >-
      Its connection to the API server is broken or the server is down. Tables in force stay; changes are not seen. Look at the API server first,
      then at the operator's log and its NetworkPolicy.
- alert: RivmeshStatusPending
  expr: max(rivmesh_operator_status_oldest_pending_seconds{ {{- $ns -}} }) > {{ $value.statusPendingSeconds }}
  for: 2m
  labels: {severity: warning}
  annotations:
    summary: "A status has waited to be written for {{ $time }}"
    description: >-
      What is routed is not concerned; what objects say about it is late. The API server is slow or refuses the writes: see
      rivmesh_operator_status_writes_total and the leader's log.
- alert: RivmeshConflictingRows
  expr: max(rivmesh_operator_conflicting_rows{ {{- $ns -}} }) > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: "{{ $number }} rows are claimed by two objects"
    description: >-
      One object wins each and the other is told so in its status. Which one wins may change when a cluster is restored from Git: remove the rows
      from one of them. `kubectl get tak -A` shows which are not Ready; `rivmesh analyze` finds them before they are applied.
- alert: RivmeshProducersFail
  expr: |-
    sum by (contract) (rate(rivmesh_calls_total{ {{- $ns -}} , code="VP009"}[5m]))
      / sum by (contract) (rate(rivmesh_calls_total{ {{- $ns -}} }[5m])) > {{ divf $value.producerFailurePercent 100 }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: "{{ $share }} of the calls of {{ $contract }} end in VP009"
    description: >-
      A producer is unreachable, at its limit, too slow or refuses our certificate. rivmesh_producer_failures_total says which producer and why.
- alert: RivmeshPossibleIntrusion
  expr: |-
    sum by (listener) (increase(rivmesh_calls_total{ {{- $ns -}} , code="VP013"}[15m])) > 0
      or sum by (listener) (rivmesh_calls_total{ {{- $ns -}} , code="VP013"} unless rivmesh_calls_total{ {{- $ns -}} , code="VP013"} offset 15m) > 0
  labels: {severity: critical}
  annotations:
    summary: "Somebody claimed to call for another consumer at listener {{ $listener }}"
    description: >-
      Calls were refused with VP013: their sender may not name an original consumer. Search the log for code VP013: it names the sender. Either it
      is a platform that is missing in platform.trustedPlatforms, or an attempt to pass as somebody else: then report it as an incident.
- alert: RivmeshCertificateExpires
  expr: min by (certificate) (rivmesh_certificate_expires_in_seconds{ {{- $ns -}} }) < {{ mul $value.certificateDays 86400 }}
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: "{{ $certificate }} expires in {{ $time }}"
    description: >-
      Renew it and replace it in its Secret; dataplanes follow without a restart. The successor of an authority is put into its ConfigMap or
      Secret beside the old one; take the old one out before it ends. The time is that of the certificate in the file that ends first.
- alert: RivmeshCertificateExpiresSoon
  expr: min by (certificate) (rivmesh_certificate_expires_in_seconds{ {{- $ns -}} }) < {{ mul $value.certificateDays 8640 }}
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: "{{ $certificate }} expires in {{ $time }}"
    description: >-
      When it has, calls fail: of all consumers, or to all producers, depending on whose it is. Renew it now. An authority whose successor stands
      beside it in the file already may end without harm once nobody has a certificate of it: take it out, and this alert ends.
- alert: RivmeshOperatorCertificateExpires
  expr: min by (certificate) (rivmesh_operator_certificate_expires_in_seconds{ {{- $ns -}} }) < 86400
  for: 15m
  labels: {severity: critical}
  annotations:
    summary: "The operator's certificate {{ $certificate }} expires in {{ $time }}"
    description: >-
      It is renewed by the operator, by cert-manager or by you, as operator.tls.source says, and that has not happened. After it dataplanes cannot
      connect; calls go on by the last table.
- alert: RivmeshRevocationListExpires
  expr: min by (crl) (rivmesh_crl_next_update_in_seconds{ {{- $ns -}} }) < {{ mul $value.revocationListHours 3600 }}
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: "Revocation list {{ $crl }} is due for an update in {{ $time }}"
    description: >-
      The newer one has not arrived. See whether the place where it is published can be reached, and the log of the container crl-fetcher.
- alert: RivmeshRevocationListExpired
  expr: min by (crl) (rivmesh_crl_next_update_in_seconds{ {{- $ns -}} }) < 0
  for: 15m
  labels: {severity: critical}
  annotations:
    summary: "Revocation list {{ $crl }} is out of date"
    description: >-
      It counts until the listener's staleGrace is over; then every client of that authority is refused. Get a newer one, or, after a decision of
      whoever answers for security, raise staleGrace.
{{- if .Values.crlFetcher.enabled }}
- alert: RivmeshCrlFetchFails
  expr: max by (pod, file) (rivmesh_crl_fetch_failing{ {{- $ns -}} }) == 1
  for: 30m
  labels: {severity: warning}
  annotations:
    summary: "Revocation list {{ $file }} cannot be fetched by {{ $pod }}"
    description: >-
      The last good list stays in force until it is out of date; a new pod without one does not start. The log of the container crl-fetcher says
      why, and so does the label reason of rivmesh_crl_fetch_failures_total: most often the URL in crlFetcher.sources, the way out
      (networkPolicy.revocationLists, a proxy), or an authority that is missing in crlFetcher.trust.
{{- end }}
{{- if $value.autoscalerAtMaximum }}
- alert: RivmeshAutoscalerAtMaximum
  expr: |-
    kube_horizontalpodautoscaler_status_current_replicas{ {{- $ns -}} , horizontalpodautoscaler="{{ include "rivmesh.fullname" . }}-dataplane"}
      >= kube_horizontalpodautoscaler_spec_max_replicas{ {{- $ns -}} , horizontalpodautoscaler="{{ include "rivmesh.fullname" . }}-dataplane"}
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: "There are as many dataplanes as there may be"
    description: >-
      More load makes calls slower, and then they are refused. Raise dataplane.autoscaling.maxReplicas, or find out where the load comes from.
{{- end }}
{{- end }}
