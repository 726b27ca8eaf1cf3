#!/usr/bin/env bash
# Tests a Rafflecast that runs on the cluster of kubectl's current context: see usage.
set -euo pipefail

usage() {
  cat <<'END'
Usage: try.sh [STEP ...]

Tests a Rafflecast that runs on the cluster of kubectl's current context, with one of
the overlays applied. During each step members enter a raffle, and many clients watch
it at the Service gateway, all from inside the cluster. Then something happens to the
system, and at the end the raffle is closed. A step passes if

- every acknowledged entry is in PostgreSQL exactly once,
- no client saw an older version after a newer one, or a version twice,
- while members enter, every connected client has each version or a newer one within
  5 s of its commit (15 s in the steps nats and mute), and receives updates all the time,
- every client has the final odds within 5 s,
- no container of either service was restarted.

The script stops at the first failure, with exit code 1.

Steps; without arguments, all of them but mute and node, in this order:
  reach          nothing happens; members enter over HTTP, at participation-http
  gateway        a rolling update of the gateway
  participation  a rolling update of participation
  nats           INTRUSIVE: a NATS pod is killed
  postgres       INTRUSIVE: a PostgreSQL pod is killed
  mute           VERY INTRUSIVE: a privileged pod makes a NATS pod drop its clients' packets
  node           VERY INTRUSIVE: a node is drained of all its pods, then uncordoned
The steps mute and node run only if you name them.

In all steps but reach members enter over gRPC. Every step leaves a raffle with the
title "Load" in the database.

Settings, by environment variable, with their defaults:
  KUBECTL=kubectl         the command; it may have arguments (--context=…)
  NAMESPACE=rafflecast
  IMAGE=rafflecast.local/rafflecast:dev
  CLIENTS=500             clients that watch, with a stream each
  RATE=200                entries per second
  WAIT=300                timeout of every wait, in seconds
  NODE                    the node to drain (default: a node with a gateway, but without
                          NATS and PostgreSQL)
  NATS_PODS=app.kubernetes.io/name=nats           label of the NATS pods
  POSTGRES_PODS=app.kubernetes.io/name=postgres   label of the PostgreSQL pods
  MUTE_NAMESPACE=rafflecast-try   made for the step mute, and deleted after it
  MUTE_IMAGE=nicolaka/netshoot:v0.14   has sh, pgrep, nsenter, ip and iptables
A step that concerns a NATS or PostgreSQL pod is skipped if no pod has the label.
END
}

read -ra kubectl <<<"${KUBECTL:-kubectl}"
namespace=${NAMESPACE:-rafflecast} image=${IMAGE:-rafflecast.local/rafflecast:dev}
clients=${CLIENTS:-500} rate=${RATE:-200} wait=${WAIT:-300}
nats_pods=${NATS_PODS:-app.kubernetes.io/name=nats} postgres_pods=${POSTGRES_PODS:-app.kubernetes.io/name=postgres}
mute_namespace=${MUTE_NAMESPACE:-rafflecast-try} mute_image=${MUTE_IMAGE:-nicolaka/netshoot:v0.14}
services='app.kubernetes.io/name in (gateway,participation)'
cordoned='' muted='' step='' raffle='' mode=unary # how members enter
max_age=5s # of odds when they arrive, while members enter

k() { "${kubectl[@]}" --namespace="$namespace" --request-timeout="$((wait + 30))s" "$@"; }
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: ${step:+$step: }$*"; exit 1; }

# cleanup runs on exit. It undoes the changes to the cluster, and after a failure it
# prints the pods and the end of the jobs' logs.
cleanup() {
  local code=$?
  trap - EXIT INT TERM
  exec >&3 2>&1 # the interrupted command may have redirected the output
  if [ -n "$muted" ]; then unmute || say "could not unmute $muted: delete the namespace $mute_namespace, then the pod $muted"; fi
  if [ -n "$cordoned" ]; then k uncordon "$cordoned" || say "could not uncordon $cordoned"; fi
  if [ $code -ne 0 ] && [ -n "$step" ]; then
    k get pods -o wide || true
    for job in try-load try-watch; do say "end of the log of $job:"; k logs "job/$job" --tail=30 2>&1 || true; done
  fi
  k delete job try-load try-watch --ignore-not-found --timeout="${wait}s" >/dev/null 2>&1 || true
  k delete networkpolicy try try-services try-postgres --ignore-not-found --timeout="${wait}s" >/dev/null 2>&1 || true
  exit $code
}

# retry COMMAND... repeats a command until it succeeds, for at most $wait seconds.
retry() {
  local end=$((SECONDS + wait))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "no success within $wait s: $*"
    sleep 1
  done
}

# job NAME ARGUMENT... runs the program rafflecast in the cluster, as a Job.
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

logs() { k logs "job/$1"; }
logged() { grep -q "$2" <<<"$(logs "$1")"; } # not a pipe: grep -q exits early, and kubectl would fail
finished() { [ -n "$(k get job "$1" -o 'jsonpath={.status.succeeded}{.status.failed}')" ]; }
nodes() { k get pods -l "$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}'; }
names() { k get pods -l "$1" -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
restarts() { k get pods -l "$services" -o 'jsonpath={range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}'; }

# start_jobs starts the job that enters members, and then the job that watches.
start_jobs() {
  k delete job try-load try-watch --ignore-not-found --timeout="${wait}s" >/dev/null
  job try-load load --target=dns:///participation:9090 --mode="$mode" --facade=http://participation-http:9080 --gateway=http://gateway --max-age="$max_age" --rate="$rate" --duration=1h --until-closed
  retry logged try-load '^first raffle'
  raffle=$(logs try-load | sed -n 's/^first raffle //p')
  job try-watch watch --gateway=http://gateway --target=dns:///participation:9090 --raffle="$raffle" --clients="$clients" --max-age="$max_age"
  retry logged try-watch "$clients of $clients connected"
  say "$clients clients watch raffle $raffle, $rate entries/s"
}

# finish_jobs closes the raffle, which ends both jobs, and prints their results.
finish_jobs() {
  sleep 10 # keeps the load on what has just recovered
  retry k exec job/try-load -- /ko-app/rafflecast close --target=dns:///participation:9090 --raffle="$raffle"
  retry finished try-load
  retry finished try-watch
  logs try-load | grep -E '^(rate|latency|acknowledged|refused|retried|without|verified|updates|age|RESULT (lost|doubled|counter|flow))' | sed 's/^/    /'
  logs try-watch | grep -vE '^ +[0-9]+ s |^RESULT (reconnects|longest|resets)' | sed 's/^/    /'
  for job in try-load try-watch; do
    [ "$(k get job $job -o 'jsonpath={.status.succeeded}')" = 1 ] || fail "$job has found faults"
  done
}

# run_step STEP COMMAND... runs one step. COMMAND is what happens to the system.
run_step() {
  step=$1
  local before
  echo
  say "$step: $(usage | sed -n "s/^  $step  *//p")"
  start_jobs
  before=$(restarts)
  shift
  "$@"
  finish_jobs
  check_restarts "$before"
  say "$step: passed"
}

# check_restarts BEFORE fails if a container of either service has restarted since
# restarts printed BEFORE.
check_restarts() {
  local pod now
  now=$(restarts)
  for pod in $now; do
    case " $1" in
    *" ${pod%=*}="*) case " $1" in *" $pod "*) ;; *) fail "a container has restarted: $1 is now $now" ;; esac ;;
    *) [ "${pod#*=}" = 0 ] || fail "a container has restarted: $pod" ;;
    esac
  done
}

nothing() { sleep 10; }

# rolling_update DEPLOYMENT replaces all pods, and waits until the old ones are gone.
rolling_update() {
  local old pod
  old=$(names "app.kubernetes.io/name=$1")
  k rollout restart "deployment/$1" >/dev/null
  k rollout status "deployment/$1" --timeout="${wait}s" >/dev/null || fail "the new pods are not ready"
  say "new pods are ready"
  for pod in $old; do k wait --for=delete "pod/$pod" --timeout="${wait}s" >/dev/null || fail "$pod does not terminate"; done
  say "the old pods are gone; the new ones are on $(nodes "app.kubernetes.io/name=$1" | sort | uniq -c | xargs)"
}

# kill_pod LABEL kills one pod like a crash, with a grace period of one second.
kill_pod() {
  local pod uid
  pod=$(names "$1")
  pod=${pod%%$'\n'*}
  uid=$(k get pod "$pod" -o 'jsonpath={.metadata.uid}')
  say "killing $pod"
  k delete pod "$pod" --grace-period=1 --timeout="${wait}s" >/dev/null
  retry replaced "$pod" "$uid"
  k wait --for=condition=Ready "pod/$pod" --timeout="${wait}s" >/dev/null || fail "$pod is not ready"
  say "$pod is ready again"
  k wait --for=condition=Ready pod -l "$services" --timeout="${wait}s" >/dev/null || fail "a service is not ready"
}
replaced() { [ "$(k get pod "$1" -o 'jsonpath={.metadata.uid}')" != "$2" ]; }

# busiest_nats prints the NATS pod to which the most instances of participation are
# connected, or any if that can't be asked.
busiest_nats() {
  local pod count most=-1 busiest=''
  for pod in $(names "$nats_pods"); do
    count=$(k get --raw "/api/v1/namespaces/$namespace/pods/$pod:8222/proxy/connz" 2>/dev/null | grep -c '"name": "rafflecast participation"') || true
    if [ "${count:-0}" -gt "$most" ]; then most=$count busiest=$pod; fi
  done
  echo "$busiest"
}

# mute_nats has a NATS pod drop all packets from and to its clients. The rules are set in
# the network namespace of the pod, which a privileged pod on its node can enter.
mute_nats() {
  local pod ip node
  pod=$(busiest_nats)
  ip=$(k get pod "$pod" -o 'jsonpath={.status.podIP}')
  node=$(k get pod "$pod" -o 'jsonpath={.spec.nodeName}')
  muted=$pod
  k create namespace "$mute_namespace" >/dev/null
  k label namespace "$mute_namespace" pod-security.kubernetes.io/enforce=privileged >/dev/null
  retry "${kubectl[@]}" --namespace="$mute_namespace" get serviceaccount default
  "${kubectl[@]}" create -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: mute, namespace: $mute_namespace}
spec:
  nodeName: $node
  hostPID: true
  restartPolicy: Never
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 10
  tolerations: [{operator: Exists}]
  containers:
    - name: mute
      image: $mute_image
      securityContext: {privileged: true, runAsUser: 0}
      args: ["$ip"]
      command:
        - sh
        - -ec
        - |
          case \$0 in *:*) tables=ip6tables ;; *) tables=iptables ;; esac
          server=
          for pid in \$(pgrep -x nats-server); do
            if nsenter -t \$pid -n ip -o addr | grep -qF " \$0/"; then server=\$pid; fi
          done
          [ -n "\$server" ] || { echo "no NATS server has the address \$0"; exit 1; }
          rules() {
            nsenter -t \$server -n \$tables -w \$1 INPUT -p tcp --dport 4222 -j DROP
            nsenter -t \$server -n \$tables -w \$1 OUTPUT -p tcp --sport 4222 -j DROP
          }
          trap 'rules -D; exit 0' TERM
          rules -I
          echo is mute
          sleep 86400 & wait
END
  retry is_mute
  say "$pod drops the packets of its clients"
  sleep 20
}
is_mute() { [ "$("${kubectl[@]}" --namespace="$mute_namespace" logs mute)" = 'is mute' ]; }

# unmute ends what mute_nats began.
unmute() {
  k delete namespace "$mute_namespace" --timeout="${wait}s" >/dev/null && say "$muted answers again" && muted=''
}

# gateway_nodes prints the nodes that run a gateway, but neither NATS nor PostgreSQL.
gateway_nodes() {
  local node
  for node in $(nodes app.kubernetes.io/name=gateway | sort -u); do
    [ -n "$({ k get pods -l "$nats_pods" -o name --field-selector="spec.nodeName=$node"; k get pods -l "$postgres_pods" -o name --field-selector="spec.nodeName=$node"; })" ] || echo "$node"
  done
}

# drain_node drains a node, waits for the services to recover elsewhere, and uncordons it.
drain_node() {
  local node=${NODE:-}
  [ -n "$node" ] || node=$(gateway_nodes)
  node=${node%%$'\n'*}
  [ -n "$node" ] || fail "every node with a gateway also runs NATS or PostgreSQL: name the node to drain by NODE=…"
  [ "$(k get node "$node" -o jsonpath='{.spec.unschedulable}')" != true ] || fail "$node is cordoned already: uncordon it, or name another node by NODE=…"
  say "draining $node"
  cordoned=$node
  # The pods of these jobs stay: they are not under test.
  k drain "$node" --ignore-daemonsets --delete-emptydir-data --pod-selector='app.kubernetes.io/name!=try' --timeout="${wait}s" >/dev/null || fail "$node can't be drained"
  say "drained $node"
  for deployment in gateway participation; do
    k rollout status "deployment/$deployment" --timeout="${wait}s" >/dev/null || fail "$deployment does not recover on other nodes"
  done
  k uncordon "$node" >/dev/null && cordoned=''
  say "both services have recovered on other nodes; uncordoned $node"
}

# has_pods LABEL reports whether the namespace has pods with the label.
has_pods() { [ -n "$(names "$1")" ] || { echo; say "skipped: no pod in $namespace has the label $1"; false; }; }

[[ " $* " != *" --help "* && " $* " != *" -h "* ]] || { usage; exit 0; }
steps=("$@")
[ $# -gt 0 ] || steps=(reach gateway participation nats postgres)
for s in "${steps[@]}"; do
  case $s in reach | gateway | participation | nats | mute | postgres | node) ;; *) usage >&2; exit 2 ;; esac
done
exec 3>&1
trap cleanup EXIT
trap 'exit 130' INT TERM
say "$("${kubectl[@]}" version 2>/dev/null | tr '\n' ' ')"
for deployment in gateway participation; do
  k rollout status "deployment/$deployment" --timeout="${wait}s" || fail "$deployment is not rolled out"
done
k get pods -o wide
allow_traffic
for s in "${steps[@]}"; do
  case $s in
  reach) mode=http run_step reach nothing ;;
  gateway) run_step gateway rolling_update gateway ;;
  participation) run_step participation rolling_update participation ;;
  # A stream without its leader acknowledges nothing for up to 7 s.
  nats) if has_pods "$nats_pods"; then max_age=15s run_step nats kill_pod "$nats_pods"; fi ;;
  mute) if has_pods "$nats_pods"; then max_age=15s run_step mute mute_nats; unmute; fi ;;
  postgres) if has_pods "$postgres_pods"; then run_step postgres kill_pod "$postgres_pods"; fi ;;
  node) run_step node drain_node ;;
  esac
done
step=''
echo
say "all steps passed: ${steps[*]}"
