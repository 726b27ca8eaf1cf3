# Functions of try.sh for everything on the cluster that is not a step. try.sh has set
# kubectl, namespace, image, wait, services, postgres_pods, fault_namespace and fault_image.
# shellcheck shell=bash disable=SC2154

k() { "${kubectl[@]}" --namespace="$namespace" --request-timeout="$((wait + 30))s" "$@"; }
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: ${step:+$step: }$*"; exit 1; }

# retry COMMAND... repeats a command until it succeeds, for at most $wait seconds.
retry() {
  local end=$((SECONDS + wait))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "no success within $wait s: $*"
    sleep 1
  done
}

# await ARGUMENT... is kubectl wait.
await() { k wait --timeout="${wait}s" "$@" >/dev/null || fail "no success within $wait s: kubectl wait $*"; }

# await_rollout DEPLOYMENT... waits until the deployments have all their pods.
await_rollout() {
  local deployment
  for deployment; do
    k rollout status "deployment/$deployment" --timeout="${wait}s" >/dev/null || fail "$deployment has not all its pods after $wait s"
  done
}

# pods LABEL FIELD prints a field of each pod with a label, a line each.
pods() { k get pods -l "$1" -o "jsonpath={range .items[*]}{$2}{\"\\n\"}{end}"; }
names() { pods "$1" .metadata.name; }
nodes() { pods "$1" .spec.nodeName; }
restarts() { pods "$services" '.metadata.name}={.status.containerStatuses[0].restartCount'; }
is_on() { grep -qxF "$1" <<<"$(nodes "$2")"; } # NODE LABEL

# check_restarts BEFORE fails if a container of either service has restarted since
# restarts printed BEFORE.
check_restarts() {
  local pod
  for pod in $(restarts); do
    if grep -q "^${pod%=*}=" <<<"$1"; then
      grep -qxF "$pod" <<<"$1" || fail "a container has restarted: $pod times, before: $1"
    elif [ "${pod#*=}" != 0 ]; then
      fail "a container has restarted: $pod times"
    fi
  done
}

logs() { k logs "job/$1" "${@:2}"; }
logged() { grep -q "$2" <<<"$(logs "$1")"; } # not a pipe: grep -q exits early, and kubectl would fail
finished() { [ -n "$(k get job "$1" -o 'jsonpath={.status.succeeded}{.status.failed}')" ]; }
succeeded() { [ "$(k get job "$1" -o 'jsonpath={.status.succeeded}')" = 1 ]; }
delete_jobs() { k delete job try-load try-watch try-new --ignore-not-found --timeout="${wait}s" >/dev/null; }

# callers finds out how callers reach participation, and who they must be.
callers() {
  local env
  env=$(k get deployment participation -o 'jsonpath={range .spec.template.spec.containers[0].env[*]}{.name}={.value}{"\n"}{end}')
  if grep -q '^PARTICIPATION_TLS_CERT=.' <<<"$env"; then
    target="dns:///participation.$namespace.svc:9090" facade=https://participation-http:9080 ca=/etc/participation-tls/ca.crt
  fi
  [ -n "${TOKEN:-}" ] || grep -q '^ALLOW_ANONYMOUS=true$' <<<"$env" ||
    fail "callers are authenticated, and TOKEN is empty: see --help"
  k delete secret try --ignore-not-found >/dev/null
  k create secret generic try --from-file=RAFFLECAST_TOKEN=<(printf %s "${TOKEN:-}") --from-literal=RAFFLECAST_CA="$ca" >/dev/null
}

# job NAME ARGUMENT... runs the program rafflecast in the cluster, as a Job, on a node
# that will not vanish.
job() {
  local name=$1 args
  shift
  args=$(printf '"%s", ' "$@")
  k create -f - >/dev/null <<END
apiVersion: batch/v1
kind: Job
metadata: {name: $name, labels: {app.kubernetes.io/name: try}}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app.kubernetes.io/name: try}}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 1
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: ["$vanished"]}]}]
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: rafflecast
          image: $image
          args: [${args%, }]
          env:
            - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: participation-database, key: DATABASE_URL}}}
          envFrom: [{secretRef: {name: try}}]
          volumeMounts:
            - {name: participation-tls, mountPath: /etc/participation-tls, readOnly: true}
            - {name: postgres-ca, mountPath: /etc/postgres-ca, readOnly: true}
          resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumes:
        - {name: participation-tls, secret: {secretName: participation-tls, optional: true, items: [{key: ca.crt, path: ca.crt}]}}
        - {name: postgres-ca, secret: {secretName: postgres-ca, optional: true, items: [{key: ca.crt, path: ca.crt}]}}
END
}

# allow_traffic adds network policies that let the pods of these jobs reach the services
# and PostgreSQL. It adds none if the overlay has no policies: pods that a policy selects
# accept nothing else, so it would cut the other connections.
allow_traffic() {
  k get networkpolicy default-deny >/dev/null 2>&1 || return 0
  k apply -f - >/dev/null <<END
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: try}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: try}}
  policyTypes: [Egress]
  egress: [{}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: try-services}
spec:
  podSelector: {matchExpressions: [{key: app.kubernetes.io/name, operator: In, values: [gateway, participation]}]}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/name: try}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: try-postgres}
spec:
  podSelector: {matchLabels: {${postgres_pods/=/: }}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/name: try}}}]}]
END
}

# privileged NODE ARGUMENT starts a privileged pod on a node, in the node's network and
# process namespaces. It runs the shell script of stdin, whose $0 is the argument.
privileged() {
  local script
  script=$(sed 's/^/          /')
  "${kubectl[@]}" create namespace "$fault_namespace" >/dev/null
  "${kubectl[@]}" label namespace "$fault_namespace" pod-security.kubernetes.io/enforce=privileged >/dev/null
  retry "${kubectl[@]}" --namespace="$fault_namespace" get serviceaccount default
  "${kubectl[@]}" create -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: fault, namespace: $fault_namespace}
spec:
  nodeName: $1
  hostPID: true
  hostNetwork: true
  restartPolicy: Never
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 10
  tolerations: [{operator: Exists}]
  containers:
    - name: fault
      image: $fault_image
      securityContext: {privileged: true, runAsUser: 0}
      args: ["$2"]
      command:
        - sh
        - -ec
        - |
$script
END
}
said() { [[ "$("${kubectl[@]}" --namespace="$fault_namespace" logs fault)" = "$1"* ]]; }
ended() { [ "$("${kubectl[@]}" --namespace="$fault_namespace" get pod fault -o 'jsonpath={.status.phase}')" = Succeeded ]; }
delete_privileged() { "${kubectl[@]}" delete namespace "$fault_namespace" --timeout="${wait}s" >/dev/null; }
