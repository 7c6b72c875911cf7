{{- define "symbolon.selector" -}}
app.kubernetes.io/name: symbolon
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "symbolon.labels" -}}
{{ include "symbolon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "symbolon.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "symbolon.settings" -}}
SYMBOLON_SECRET_FILE: /run/secrets/symbolon/secret
DATABASE_URL: {{ .Values.database.url | quote }}
DATABASE_PASSWORD_FILE: /run/secrets/symbolon/database-password
{{- if .Values.mail }}
SYMBOLON_SMTP_URL_FILE: /run/secrets/symbolon/smtp-url
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* What the container that migrates and the one that serves have in common. */ -}}
{{- define "symbolon.container" -}}
image: {{ include "symbolon.image" . | quote }}
envFrom:
  - configMapRef:
      name: {{ .Release.Name }}-settings
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: secrets
    mountPath: /run/secrets/symbolon
    readOnly: true
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
