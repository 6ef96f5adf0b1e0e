{{- /*
What the schema cannot say, or not in words that help: what is missing, and what does not go together. All of it is told at once.
*/ -}}
{{- define "rivmesh.validate" -}}
{{- $errors := list }}
{{- $missing := dict
  "environment" (list .Values.environment "name it, such as production or test; what belongs to different environments never mixes")
  "platform.hsaId" (list .Values.platform.hsaId "write the platform's HSA-id, as SE2321000016-A1B2")
  "platform.name" (list .Values.platform.name "write the name that callers shall see in faults, as region-nord-prod")
  "upstream.tls.secret" (list .Values.upstream.tls.secret "name the Secret with the certificate that producers shall see")
  "upstream.tls.trust" (list .Values.upstream.tls.trust "refer to the authorities of producers, as {configMap: producer-authorities}")
}}
{{- range $path, $check := $missing }}
{{- if not (index $check 0) }}
{{- $errors = append $errors (printf "%s is missing: %s" $path (index $check 1)) }}
{{- end }}
{{- end }}
{{- $ports := dict "9901" "the admin port" "9902" "the CRL fetcher" }}
{{- $served := dict }}
{{- range $name, $listener := .Values.listeners }}
{{- if $listener }}
{{- $at := printf "listeners.%s" $name }}
{{- range include "rivmesh.listenerErrors" (dict "at" $at "listener" $listener "Values" $.Values) | fromJsonArray }}
{{- $errors = append $errors . }}
{{- end }}
{{- with get $ports (toString $listener.port) }}
{{- $errors = append $errors (printf "%s.port is %v, which is the port of %s: choose another" $at $listener.port .) }}
{{- end }}
{{- $_ := set $ports (toString $listener.port) (printf "listener %s" $name) }}
{{- $place := include "rivmesh.servedAs" $listener }}
{{- if $place }}
{{- $port := printf "%s %v" $place (($listener.service).port | default (ternary 443 $listener.port (eq $place "consumers"))) }}
{{- with get $served $port }}
{{- $errors = append $errors (printf "%s.service.port is that of listener %s: give one of them another" $at .) }}
{{- end }}
{{- $_ := set $served $port $name }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (keys $served | join "," | contains "consumers") }}
{{- $errors = append $errors "no listener is on the Service, so nobody could call: give one of kind consumers or certificateHeader service.enabled: true" }}
{{- end }}
{{- range $number, $override := .Values.upstream.overrides }}
{{- if and $override.trust (hasKey $override.trust "file") }}
{{- $errors = append $errors (printf "upstream.overrides[%d].trust must be a reference to a Secret or ConfigMap" $number) }}
{{- end }}
{{- end }}
{{- with .Values.operator }}
{{- if and .watchAllNamespaces .watchNamespaces }}
{{- $errors = append $errors "operator.watchAllNamespaces and operator.watchNamespaces exclude each other: empty the list, or watch only what it names" }}
{{- end }}
{{- if and (eq .tls.source "secret") (not .tls.secret) }}
{{- $errors = append $errors "operator.tls.secret is missing: with source secret, name the Secret with tls.crt, tls.key and ca.crt" }}
{{- end }}
{{- if and (eq .tls.source "certManager") (not .tls.certManager.issuer.name) }}
{{- $errors = append $errors "operator.tls.certManager.issuer.name is missing: name the Issuer or ClusterIssuer" }}
{{- end }}
{{- end }}
{{- with .Values.dataplane }}
{{- $requests := (.resources).requests | default dict }}
{{- $limits := (.resources).limits | default dict }}
{{- if .autoscaling.enabled }}
{{- if gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas) }}
{{- $errors = append $errors "dataplane.autoscaling.minReplicas is greater than maxReplicas" }}
{{- end }}
{{- if not (or .autoscaling.targetCPUUtilizationPercentage .autoscaling.targetCallsInFlight .autoscaling.metrics) }}
{{- $errors = append $errors "dataplane.autoscaling has no target: set targetCPUUtilizationPercentage, targetCallsInFlight or metrics, or enabled: false" }}
{{- end }}
{{- if and .autoscaling.targetCPUUtilizationPercentage (not $requests.cpu) }}
{{- $errors = append $errors "dataplane.autoscaling looks at CPU in percent of the request: set dataplane.resources.requests.cpu" }}
{{- end }}
{{- end }}
{{- if and (eq (toString .workers) "request") (not $requests.cpu) }}
{{- $errors = append $errors "dataplane.workers follows the CPU request: set dataplane.resources.requests.cpu, or workers to cores or a number" }}
{{- end }}
{{- if and (eq (toString .workers) "limit") (not $limits.cpu) }}
{{- $errors = append $errors "dataplane.workers follows the CPU limit: set dataplane.resources.limits.cpu, or workers to request, cores or a number" }}
{{- end }}
{{- if eq .table.storage "existingClaim" }}
{{- if not .table.existingClaim }}
{{- $errors = append $errors "dataplane.table.existingClaim is missing: name the claim, or choose another storage" }}
{{- end }}
{{- if or .autoscaling.enabled (ne (int .replicas) 1) (ne (toString .rollingUpdate.maxSurge) "0") }}
{{- $errors = append $errors "dataplane.table.storage existingClaim is for one pod, since two would write over each other: set autoscaling.enabled: false, replicas: 1 and rollingUpdate: {maxSurge: 0, maxUnavailable: 1}, or use emptyDir or ephemeral" }}
{{- end }}
{{- end }}
{{- if and .service.loadBalancerClass (ne .service.type "LoadBalancer") }}
{{- $errors = append $errors "dataplane.service.loadBalancerClass needs type LoadBalancer" }}
{{- end }}
{{- end }}
{{- range $component := list "operator" "dataplane" }}
{{- with index $.Values $component }}
{{- if and (eq (toString .rollingUpdate.maxSurge) "0") (eq (toString .rollingUpdate.maxUnavailable) "0") }}
{{- $errors = append $errors (printf "%s.rollingUpdate: maxSurge and maxUnavailable are both 0, so nothing could ever be replaced" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- $account := include "rivmesh.serviceAccount" (list $ "operator") }}
{{- if eq $account (include "rivmesh.serviceAccount" (list $ "dataplane")) }}
{{- $errors = append $errors (printf "operator and dataplane have one ServiceAccount, %s, so dataplanes would have the operator's rights: give operator.serviceAccount.name and dataplane.serviceAccount.name two names" $account) }}
{{- end }}
{{- with .Values.crlFetcher }}
{{- if and .enabled (not .sources) }}
{{- $errors = append $errors "crlFetcher.sources is empty: say what to fetch, as {site.crl: \"http://crl.region.example/site.crl\"}" }}
{{- end }}
{{- if and .enabled (not .trust) }}
{{- $errors = append $errors "crlFetcher.trust is empty: refer to the authorities that may have signed the lists, as [{configMap: consumer-authorities}]" }}
{{- end }}
{{- end }}
{{- range $file, $url := .Values.crlFetcher.sources }}
{{- if and (hasPrefix "https:" $url) (not $.Values.crlFetcher.httpsTrust) }}
{{- $errors = append $errors (printf "crlFetcher.httpsTrust is missing: %s is fetched by https, so refer to the authorities of its server" $file) }}
{{- end }}
{{- end }}
{{- with .Values.test }}
{{- if .clientSecret }}
{{- if not .contract }}
{{- $errors = append $errors "test.contract is missing: name the contract of the synthetic call" }}
{{- end }}
{{- if not .logicalAddress }}
{{- $errors = append $errors "test.logicalAddress is missing: write the address of the synthetic call" }}
{{- end }}
{{- if ne "consumers" (include "rivmesh.servedAs" (get $.Values.listeners .listener)) }}
{{- $errors = append $errors (printf "test.listener: no listener %s is on the Service" .listener) }}
{{- end }}
{{- end }}
{{- end }}
{{- $alerts := list }}
{{- range include "rivmesh.alerts" . | fromYamlArray }}
{{- $alerts = append $alerts .alert }}
{{- end }}
{{- range .Values.monitoring.rules.disabled }}
{{- if not (has . (concat $alerts (list "RivmeshAutoscalerAtMaximum" "RivmeshCrlFetchFails"))) }}
{{- $errors = append $errors (printf "monitoring.rules.disabled: there is no alert %s" .) }}
{{- end }}
{{- end }}
{{- $name := include "rivmesh.fullname" . }}
{{- if gt (len $name) 36 }}
{{- $errors = append $errors (printf "the name %s is longer than 36 characters: set fullnameOverride" $name) }}
{{- end }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- $errors = append $errors (printf "Services cannot be called %s, since their names begin with a letter and have only small letters, digits and dashes: set fullnameOverride, as rivmesh" $name) }}
{{- end }}
{{- if $errors }}
{{- fail (printf "\n\nThese values cannot be used:\n- %s\n" (join "\n- " $errors)) }}
{{- end }}
{{- end }}

{{- /* What is wrong with one listener, as a JSON array: (dict "at" PATH "listener" LISTENER "Values" .Values). */ -}}
{{- define "rivmesh.listenerErrors" -}}
{{- $errors := list }}
{{- $at := .at }}
{{- $listener := .listener }}
{{- $kind := $listener.kind | default "consumers" }}
{{- if and (ne $kind "internal") (not $listener.tls) }}
{{- $errors = append $errors (printf "%s.tls is missing; only an internal listener may be without it" $at) }}
{{- end }}
{{- if and (eq $kind "certificateHeader") (not $listener.certificateHeader) }}
{{- $errors = append $errors (printf "%s.certificateHeader is missing; it says which headers and which ingresses" $at) }}
{{- end }}
{{- range $block := list "certificateHeader" "internal" }}
{{- if and (hasKey $listener $block) (ne $kind $block) }}
{{- $errors = append $errors (printf "%s.%s needs kind: %s" $at $block $block) }}
{{- end }}
{{- end }}
{{- if and (eq $kind "internal") (not $listener.tls) (not (($listener.internal).cidrs)) }}
{{- $errors = append $errors (printf "%s.internal.cidrs is missing: a plain internal listener needs the networks that it lets in, because whoever reaches it may call as anybody" $at) }}
{{- end }}
{{- if and $listener.tls (not $listener.tls.secret) }}
{{- $errors = append $errors (printf "%s.tls.secret is missing: name the Secret with the certificate that consumers shall see" $at) }}
{{- end }}
{{- range $block := list "tls" "certificateHeader" }}
{{- with get $listener $block }}
{{- $at := printf "%s.%s" $at $block }}
{{- if not .clientTrust }}
{{- $errors = append $errors (printf "%s.clientTrust is missing: refer to the authorities of client certificates, as {configMap: consumer-authorities}" $at) }}
{{- end }}
{{- if and (eq "require" (.revocation | default "require")) (not .crls) }}
{{- $errors = append $errors (printf "%s.crls is empty, and with revocation: require everybody would be refused: list them (crlFetcher fetches them), or set revocation: \"off\"" $at) }}
{{- end }}
{{- if and (eq "available" (.revocation | default "require")) (not .crls) }}
{{- $errors = append $errors (printf "%s.crls is empty, and with revocation: available revoked certificates would be let in: list them (crlFetcher fetches them), or say so with revocation: \"off\"" $at) }}
{{- end }}
{{- range .crls }}
{{- if .file }}
{{- if not (or $.Values.crlFetcher.enabled $.Values.crlFetcher.existingClaim) }}
{{- $errors = append $errors (printf "%s.crls: nothing brings the file %s: enable crlFetcher, or set crlFetcher.existingClaim" $at .file) }}
{{- else if and $.Values.crlFetcher.enabled (not (hasKey $.Values.crlFetcher.sources .file)) }}
{{- $errors = append $errors (printf "%s.crls: crlFetcher.sources has no file %s" $at .file) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $errors }}
{{- end }}
