#!/usr/bin/env bash
# Tries Rafflecast on the cluster that kubectl points at: see usage below.
set -euo pipefail

usage() {
  cat <<'END'
Usage: try.sh [STEP ...]

Tries Rafflecast on the cluster that kubectl points at, with one of the overlays
applied. In each step members enter a raffle all the time, by gRPC where nothing else
is said, and many clients watch it, at the Service gateway, from inside the cluster;
then something happens to the system; then the raffle is closed. The step has passed when every acknowledged entry is in PostgreSQL
exactly once, when no client ever saw an older version after a newer one or one
twice, when every client has the final odds within 5 s, and when no container of
either service was restarted. The first failure ends the trial with exit code 1.

Steps, in this order where none is named:
  reach          nothing happens; members enter by HTTP, at participation-http
  gateway        a rolling update of the gateway
  participation  a rolling update of participation
  nats           INTRUSIVE: a NATS pod is killed
  postgres       INTRUSIVE: a PostgreSQL pod is killed
  node           VERY INTRUSIVE: a node is drained of all its pods, then uncordoned;
                 only where this step is named, even if others are

All of them leave raffles called "Load" behind in the database.

Settings, by environment variable, with their defaults:
  KUBECTL=kubectl         the command, which may have arguments (--context=…)
  NAMESPACE=rafflecast
  IMAGE=rafflecast.local/rafflecast:dev
  CLIENTS=500             streams that are held
  RATE=200                entries per second
  WAIT=300                most seconds that any one thing may take
  NODE                    the node to drain (default: one with a gateway and no store)
  NATS_PODS=app.kubernetes.io/name=nats           labels of the pods to kill one of;
  POSTGRES_PODS=app.kubernetes.io/name=postgres   a step is left out where there is none
END
}

read -ra kubectl <<<"${KUBECTL:-kubectl}"
namespace=${NAMESPACE:-rafflecast} image=${IMAGE:-rafflecast.local/rafflecast:dev}
clients=${CLIENTS:-500} rate=${RATE:-200} wait=${WAIT:-300}
nats_pods=${NATS_PODS:-app.kubernetes.io/name=nats} postgres_pods=${POSTGRES_PODS:-app.kubernetes.io/name=postgres}
services='app.kubernetes.io/name in (gateway,participation)'
cordoned='' step='' raffle='' mode=unary # how members enter

k() { "${kubectl[@]}" --namespace="$namespace" --request-timeout="$((wait + 30))s" "$@"; }
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: ${step:+$step: }$*"; exit 1; }

# leave takes back what was done to the cluster, and shows what is known of a failure.
leave() {
  local code=$?
  trap - EXIT INT TERM
  exec >&3 2>&1 # not to where the command under way writes
  if [ -n "$cordoned" ]; then k uncordon "$cordoned" || say "could not uncordon $cordoned"; fi
  if [ $code -ne 0 ] && [ -n "$step" ]; then
    k get pods -o wide || true
    for job in try-load try-watch; do say "the end of $job's log:"; k logs "job/$job" --tail=30 2>&1 || true; done
  fi
  k delete job try-load try-watch --ignore-not-found --timeout="${wait}s" >/dev/null 2>&1 || true
  k delete networkpolicy try try-services try-postgres --ignore-not-found --timeout="${wait}s" >/dev/null 2>&1 || true
  exit $code
}

# within COMMAND... repeats a command until it succeeds.
within() {
  local end=$((SECONDS + wait))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "gave up after $wait s: $*"
    sleep 1
  done
}

# job NAME ARGUMENT... runs the program rafflecast in the cluster.
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
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: rafflecast
          image: $image
          args: [${args%, }]
          env:
            - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: participation-database, key: DATABASE_URL}}}
          resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
END
}

# admit lets this trial's pods reach what the production overlay's policies keep them
# from. Where nothing is forbidden, a policy would forbid the rest.
admit() {
  k get networkpolicy nothing-else >/dev/null 2>&1 || return 0
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

logs() { k logs "job/$1"; }
said() { grep -q "$2" <<<"$(logs "$1")"; } # no pipe: grep ends early, which kubectl takes ill
ended() { [ -n "$(k get job "$1" -o 'jsonpath={.status.succeeded}{.status.failed}')" ]; }
nodes() { k get pods -l "$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}'; }
names() { k get pods -l "$1" -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
restarts() { k get pods -l "$services" -o 'jsonpath={range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}'; }

# start begins the entries, and then the watching.
start() {
  k delete job try-load try-watch --ignore-not-found --timeout="${wait}s" >/dev/null
  job try-load load --target=dns:///participation:9090 --mode="$mode" --facade=http://participation-http:9080 --rate="$rate" --duration=1h --until-closed
  within said try-load '^first raffle'
  raffle=$(logs try-load | sed -n 's/^first raffle //p')
  job try-watch watch --gateway=http://gateway --target=dns:///participation:9090 --raffle="$raffle" --clients="$clients"
  within said try-watch "$clients of $clients connected"
  say "$clients clients watch raffle $raffle, $rate entries/s"
}

# finish closes the raffle and tells what the two jobs found.
finish() {
  sleep 10 # all that came back is under load for a while
  within k exec job/try-load -- /ko-app/rafflecast close --target=dns:///participation:9090 --raffle="$raffle"
  within ended try-load
  within ended try-watch
  logs try-load | grep -E '^(rate|latency|acknowledged|refused|tried|without|verified|RESULT (lost|doubled|counter))' | sed 's/^/    /'
  logs try-watch | grep -vE '^ +[0-9]+ s |^RESULT (reconnects|longest|resets)' | sed 's/^/    /'
  for job in try-load try-watch; do
    [ "$(k get job $job -o 'jsonpath={.status.succeeded}')" = 1 ] || fail "$job found faults"
  done
}

# trial STEP WHAT... is one step: WHAT is what happens.
trial() {
  step=$1
  local before
  echo
  say "$step: $(usage | sed -n "s/^  $step  *//p")"
  start
  before=$(restarts)
  shift
  "$@"
  finish
  same_restarts "$before"
  say "$step: passed"
}

# same_restarts fails where a pod that was there before was restarted.
same_restarts() {
  local pod now
  now=$(restarts)
  for pod in $now; do
    case " $1" in
    *" ${pod%=*}="*) case " $1" in *" $pod "*) ;; *) fail "restarted: $1 is now $now" ;; esac ;;
    *) [ "${pod#*=}" = 0 ] || fail "restarted: $pod" ;;
    esac
  done
}

nothing() { sleep 10; }

# update replaces all pods of a Deployment, and waits for the old ones to be gone.
update() {
  local old pod
  old=$(names "app.kubernetes.io/name=$1")
  k rollout restart "deployment/$1" >/dev/null
  k rollout status "deployment/$1" --timeout="${wait}s" >/dev/null || fail "the new pods are not ready"
  say "new pods are ready"
  for pod in $old; do k wait --for=delete "pod/$pod" --timeout="${wait}s" >/dev/null || fail "$pod does not end"; done
  say "the old pods are gone; the new ones are on $(nodes "app.kubernetes.io/name=$1" | sort | uniq -c | xargs)"
}

# kill_one LABELS kills a pod, as a crash would: it has a second to end.
kill_one() {
  local pod uid
  pod=$(names "$1")
  pod=${pod%%$'\n'*}
  uid=$(k get pod "$pod" -o 'jsonpath={.metadata.uid}')
  say "killing $pod"
  k delete pod "$pod" --grace-period=1 --timeout="${wait}s" >/dev/null
  within replaced "$pod" "$uid"
  k wait --for=condition=Ready "pod/$pod" --timeout="${wait}s" >/dev/null || fail "$pod is not ready"
  say "$pod is ready again"
  k wait --for=condition=Ready pod -l "$services" --timeout="${wait}s" >/dev/null || fail "a service is not ready"
}
replaced() { [ "$(k get pod "$1" -o 'jsonpath={.metadata.uid}')" != "$2" ]; }

# without_store prints the names of nodes that have a gateway and no store.
without_store() {
  local node
  for node in $(nodes app.kubernetes.io/name=gateway | sort -u); do
    [ -n "$({ k get pods -l "$nats_pods" -o name --field-selector="spec.nodeName=$node"; k get pods -l "$postgres_pods" -o name --field-selector="spec.nodeName=$node"; })" ] || echo "$node"
  done
}

drain() {
  local node=${NODE:-}
  [ -n "$node" ] || node=$(without_store)
  node=${node%%$'\n'*}
  [ -n "$node" ] || fail "no node has a gateway and no store: name one, NODE=…"
  [ "$(k get node "$node" -o jsonpath='{.spec.unschedulable}')" != true ] || fail "$node is cordoned already: uncordon it first, or name another one, NODE=…"
  say "draining $node"
  cordoned=$node
  # The clients of this trial stay: they are not what is tried.
  k drain "$node" --ignore-daemonsets --delete-emptydir-data --pod-selector='app.kubernetes.io/name!=try' --timeout="${wait}s" >/dev/null || fail "$node can't be drained"
  say "drained $node"
  for deployment in gateway participation; do
    k rollout status "deployment/$deployment" --timeout="${wait}s" >/dev/null || fail "$deployment is not complete elsewhere"
  done
  k uncordon "$node" >/dev/null && cordoned=''
  say "complete elsewhere; uncordoned $node"
}

# has LABELS tells whether there is such a pod in the namespace.
has() { [ -n "$(names "$1")" ] || { echo; say "left out: no pod in $namespace has the label $1"; false; }; }

[[ " $* " != *" --help "* && " $* " != *" -h "* ]] || { usage; exit 0; }
steps=("$@")
[ $# -gt 0 ] || steps=(reach gateway participation nats postgres)
for s in "${steps[@]}"; do
  case $s in reach | gateway | participation | nats | postgres | node) ;; *) usage >&2; exit 2 ;; esac
done
exec 3>&1
trap leave EXIT
trap 'exit 130' INT TERM
say "$("${kubectl[@]}" version 2>/dev/null | tr '\n' ' ')"
for deployment in gateway participation; do
  k rollout status "deployment/$deployment" --timeout="${wait}s" || fail "$deployment is not complete"
done
k get pods -o wide
admit
for s in "${steps[@]}"; do
  case $s in
  reach) mode=http trial reach nothing ;;
  gateway) trial gateway update gateway ;;
  participation) trial participation update participation ;;
  nats) if has "$nats_pods"; then trial nats kill_one "$nats_pods"; fi ;;
  postgres) if has "$postgres_pods"; then trial postgres kill_one "$postgres_pods"; fi ;;
  node) trial node drain ;;
  esac
done
step=''
echo
say "all passed: ${steps[*]}"
