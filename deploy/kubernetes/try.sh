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
- 99 % of the callers are answered within 2 s, and at most 1 % of the attempts fail
  (postgres: 20 s, and half of them; vanish: 8 s, and 10 %; postgres-node: 30 s after
  the node is back, and any number, each of which is answered within 15 s),
- no client saw an older version after a newer one, or a version twice,
- while members enter, every connected client has each version or a newer one within
  5 s of its commit (15 s in the steps nats, mute and vanish; postgres-node: 30 s after the
  node is back), and receives updates all the time; the clients of a gateway whose node is
  cut off need not,
- (postgres-node) a new client gets the odds at least 20 s before the node is back,
- no second ends the streams of more than half of a gateway's clients, or brings as many
  back (if a node is cut off: of more than its gateway's, and some),
- every client has the final odds within 5 s,
- no container of either service was restarted.

The script stops at the first failure, with exit code 1.

Steps; without arguments, reach, gateway, participation, nats and postgres:
  reach          nothing happens; members enter over HTTP, at participation-http
  gateway        a rolling update of the gateway
  participation  a rolling update of participation
  upgrade        the command of UPGRADE deploys another version, or the one before
  nats           INTRUSIVE: a NATS pod is killed
  postgres       INTRUSIVE: a PostgreSQL pod is killed
  mute           VERY INTRUSIVE: a privileged pod makes a NATS pod drop its clients' packets
  node           VERY INTRUSIVE: a node is drained of all its pods, then uncordoned
  vanish         VERY INTRUSIVE: a privileged pod drops all packets from and to a node for a
                 minute; new raffles must be watched meanwhile
  postgres-node  VERY INTRUSIVE: the same with the node of PostgreSQL; new clients must get
                 the odds meanwhile

In all steps but reach members enter over gRPC. Every step leaves a raffle with the
title "Load" in the database.

Settings, by environment variable, with their defaults:
  KUBECTL=kubectl         the command; it may have arguments (--context=…)
  NAMESPACE=rafflecast
  IMAGE=rafflecast.local/rafflecast:dev
  CLIENTS=500             clients that watch, with a stream each
  RATE=200                entries per second
  WAIT=300                timeout of every wait, in seconds
  TOKEN                   of a backend and operator, if callers are authenticated
  NODE                    the node to drain (default: a node with a gateway, but without
                          NATS and PostgreSQL), or to cut off (with a gateway, but without
                          PostgreSQL)
  NATS_PODS=app.kubernetes.io/name=nats           label of the NATS pods
  POSTGRES_PODS=app.kubernetes.io/name=postgres   label of the PostgreSQL pods
  UPGRADE                 of the step upgrade: kubectl apply -k your-overlay, or helm upgrade
  VANISH=60               how long a node is cut off, in seconds; at least 40
  MUTE_NAMESPACE=rafflecast-try   made for the privileged pods, and deleted after them
  MUTE_IMAGE=nicolaka/netshoot:v0.14   has sh, pgrep, nsenter, ip and iptables
If callers are authenticated, make a key for this test, and add its public half to the
JWKS of the services, for as long as the test runs (deploy/README.md says how):
  TOKEN=$(rafflecast token --keys=try-keys --subject=try --scope='backend operator' --issuer=…)
A step that concerns a NATS or PostgreSQL pod is skipped if no pod has the label.
END
}

read -ra kubectl <<<"${KUBECTL:-kubectl}"
namespace=${NAMESPACE:-rafflecast} image=${IMAGE:-rafflecast.local/rafflecast:dev}
clients=${CLIENTS:-500} rate=${RATE:-200} wait=${WAIT:-300}
nats_pods=${NATS_PODS:-app.kubernetes.io/name=nats} postgres_pods=${POSTGRES_PODS:-app.kubernetes.io/name=postgres}
gateway_pods=app.kubernetes.io/name=gateway services='app.kubernetes.io/name in (gateway,participation)'
fault_namespace=${MUTE_NAMESPACE:-rafflecast-try} fault_image=${MUTE_IMAGE:-nicolaka/netshoot:v0.14} vanish=${VANISH:-60}
cordoned='' muted='' vanished='' step='' raffle='' mode=unary # how members enter
target="dns:///participation:9090" facade=http://participation-http:9080 ca='' # ca: the file, if there is TLS

# The limits of a step. A step sets its own before its name.
max_age=5s      # of odds when they arrive, while members enter
own_max_age=''  # the same for the single watcher of the job that enters members; empty: max_age
max_late=0      # clients in percent for which max_age does not hold
max_p99=2s      # latency of callers
max_retried=10  # attempts that fail, of 1000
timeout=10s     # of an attempt
max_silent=''   # attempts without an answer within it, of 1000; empty: max_retried
max_burst=''    # clients in percent that may lose their streams within a second; empty: by the number of gateways

# shellcheck source=try/cluster.sh
. "$(dirname "$0")/try/cluster.sh"

# cleanup runs on exit. It undoes the changes to the cluster, and after a failure it
# prints the pods and the end of the jobs' logs.
cleanup() {
  local code=$?
  trap - EXIT INT TERM
  exec >&3 2>&1 # the interrupted command may have redirected the output
  if [ -n "$muted" ]; then unmute || say "could not unmute $muted: delete the namespace $fault_namespace, then the pod $muted"; fi
  if [ -n "$vanished" ]; then say "$vanished comes back by itself within $vanish s; then delete the namespace $fault_namespace"; fi
  if [ -n "$cordoned" ]; then k uncordon "$cordoned" || say "could not uncordon $cordoned"; fi
  if [ $code -ne 0 ] && [ -n "$step" ]; then
    k get pods -o wide || true
    "${kubectl[@]}" --namespace="$fault_namespace" get pods -o wide 2>/dev/null || true
    for job in try-load try-watch try-new; do say "end of the log of $job:"; logs "$job" --tail=30 2>&1 || true; done
  fi
  delete_jobs 2>/dev/null || true
  k delete secret try --ignore-not-found >/dev/null 2>&1 || true
  k delete networkpolicy try try-services try-postgres --ignore-not-found --timeout="${wait}s" >/dev/null 2>&1 || true
  exit $code
}

# start_jobs starts the job that enters members, and then the job that watches.
start_jobs() {
  delete_jobs
  job try-load load --target="$target" --mode="$mode" --facade="$facade" --gateway=http://gateway --max-age="${own_max_age:-$max_age}" \
    --max-p99="$max_p99" --max-retried="$max_retried" --timeout="$timeout" --max-unanswered="${max_silent:-$max_retried}" --rate="$rate" --duration=1h --until-closed
  retry logged try-load '^first raffle'
  raffle=$(logs try-load | sed -n 's/^first raffle //p')
  job try-watch load-streams --gateway=http://gateway --target="$target" --clients="$clients" --max-age="$max_age" \
    --max-late="$max_late" --max-burst="${max_burst:-$(burst)}" "$raffle"
  retry logged try-watch "$clients of $clients connected"
  say "$clients clients watch raffle $raffle, $rate entries/s"
}

# burst prints half of the share of clients that a gateway has, in percent. A rolling
# update may drain all of them at the same time, each over its window.
burst() {
  local gateways
  gateways=$(names "$gateway_pods" | wc -l)
  echo $((50 / gateways > 4 ? 50 / gateways : 4))
}

# finish_jobs closes the raffle, which ends both jobs, and prints their results.
finish_jobs() {
  sleep 10 # keeps the load on what has just recovered
  retry k exec job/try-load -- /ko-app/rafflecast close --target="$target" "$raffle"
  retry finished try-load
  retry finished try-watch
  logs try-load | grep -E '^(rate|latency|acknowledged|refused|retried|without|verified|updates|age|RESULT (lost|doubled|counter|flow)|.*more than)' | sed 's/^/    /'
  logs try-watch | grep -vE '^ +[0-9]+ s |^RESULT (reconnects|longest|resets)' | sed 's/^/    /'
  for job in try-load try-watch; do
    succeeded "$job" || fail "$job has found faults"
  done
}

# run_step STEP COMMAND... runs one step. COMMAND is what happens to the system.
run_step() {
  local before
  step=$1
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

# run_cut_off STEP COMMAND... runs a step that cuts off the node $vanished. A client of the
# lost gateway notices after three heartbeats, and callers after 13 s.
run_cut_off() {
  local lost
  lost=$((100 / $(names "$gateway_pods" | wc -l) + 25))
  lost=$((lost < 100 ? lost : 100))
  max_age=${max_age_cut:-15s} own_max_age=90s max_late=$lost max_burst=$lost run_step "$@"
  vanished=''
}

nothing() { sleep 10; }

# rolling_update DEPLOYMENT replaces all pods, and waits until the old ones are gone.
rolling_update() {
  local old pod
  old=$(names "app.kubernetes.io/name=$1")
  k rollout restart "deployment/$1" >/dev/null
  await_rollout "$1"
  say "new pods are ready"
  for pod in $old; do await --for=delete "pod/$pod"; done
  say "the old pods are gone; the new ones are on $(nodes "app.kubernetes.io/name=$1" | sort | uniq -c | xargs)"
}

# upgrade runs the command of UPGRADE, and waits until the pods that it replaces are gone.
upgrade() {
  local old pod
  old=$(names "$services")
  bash -ec "$UPGRADE" >/dev/null || fail "UPGRADE has failed"
  await_rollout gateway participation
  for pod in $old; do
    [ -z "$(k get pod "$pod" --ignore-not-found -o 'jsonpath={.metadata.deletionTimestamp}')" ] || await --for=delete "pod/$pod"
  done
  say "runs $(pods "$services" '.spec.containers[0].image' | sort | uniq -c | xargs)"
}

# kill_pod POD kills a pod like a crash, with a grace period of one second.
kill_pod() {
  local pod=$1 uid
  uid=$(k get pod "$pod" -o 'jsonpath={.metadata.uid}')
  say "killing $pod"
  k delete pod "$pod" --grace-period=1 --timeout="${wait}s" >/dev/null
  retry replaced "$pod" "$uid"
  await --for=condition=Ready "pod/$pod"
  say "$pod is ready again"
  await --for=condition=Ready pod -l "$services"
}
replaced() { [ "$(k get pod "$1" -o 'jsonpath={.metadata.uid}')" != "$2" ]; }

# clients_of POD NAME prints how many clients of a name a NATS pod has, or 0 if that can't
# be asked.
clients_of() { k get --raw "/api/v1/namespaces/$namespace/pods/$1:8222/proxy/connz?limit=4096" 2>/dev/null | grep -c "\"name\": \"$2" || true; }

# busiest_nats prints the NATS pod to which the most instances of participation are
# connected, or any if that can't be asked.
busiest_nats() {
  local pod
  for pod in $(names "$nats_pods"); do echo "$(clients_of "$pod" 'rafflecast participation') $pod"; done | sort -rn | sed -n '1s/.* //p'
}

# clients_beside POD prints how many of our clients the other NATS pods have.
clients_beside() {
  local pod sum=0
  for pod in $(names "$nats_pods"); do
    [ "$pod" = "$1" ] || sum=$((sum + $(clients_of "$pod" rafflecast)))
  done
  echo "$sum"
}

# has_all_clients POD reports whether the NATS pods have one client for each pod of the
# services, or none if they can't be asked. A server keeps those of a node that was cut off
# for some minutes.
has_all_clients() {
  local sum=$(($(clients_of "$1" rafflecast) + $(clients_beside "$1")))
  [ $sum = 0 ] || [ $sum = "$(names "$services" | wc -l)" ]
}

# mute_nats has a NATS pod drop all packets from and to its clients, all of which must go
# to others. The rules are set in the network namespace of the pod.
mute_nats() {
  local pod ip node lost before found
  pod=$(busiest_nats)
  retry has_all_clients "$pod"
  lost=$(clients_of "$pod" rafflecast)
  before=$(clients_beside "$pod")
  ip=$(k get pod "$pod" -o 'jsonpath={.status.podIP}')
  node=$(k get pod "$pod" -o 'jsonpath={.spec.nodeName}')
  muted=$pod
  privileged "$node" "$ip" <<'END'
case $0 in *:*) tables=ip6tables ;; *) tables=iptables ;; esac
server=
for pid in $(pgrep -x nats-server); do
  if nsenter -t $pid -n ip -o addr | grep -qF " $0/"; then server=$pid; fi
done
[ -n "$server" ] || { echo "no NATS server has the address $0"; exit 1; }
rules() {
  nsenter -t $server -n $tables -w $1 INPUT -p tcp --dport 4222 -j DROP
  nsenter -t $server -n $tables -w $1 OUTPUT -p tcp --sport 4222 -j DROP
}
trap 'rules -D; exit 0' TERM
rules -I
echo is mute
sleep 86400 & wait
END
  retry said 'is mute'
  say "$pod drops the packets of its $lost clients"
  sleep 20
  found=$(($(clients_beside "$pod") - before))
  [ "$found" -ge "$lost" ] || fail "$lost clients were connected to $pod, and only $found have gone to other servers"
}

# unmute ends what mute_nats began.
unmute() { delete_privileged && say "$muted answers again" && muted=''; }

# vanishing_node prints the node that the step vanish cuts off.
vanishing_node() {
  local node
  for node in ${NODE:-$(nodes "$gateway_pods" | sort -u)}; do
    if ! is_on "$node" "$postgres_pods"; then echo "$node"; return; fi
  done
}

# cut_off has the node $vanished drop all packets from and to other machines, as if it
# had lost its power. Nobody can reach the pod that does this, so it ends by itself. Without
# the cluster's DNS, nobody would find anything meanwhile, and the step would say nothing of us.
cut_off() {
  local dns
  dns=$("${kubectl[@]}" --namespace=kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u)
  [ "$dns" != "$vanished" ] || fail "all pods of the cluster's DNS run on $vanished: run them on several nodes"
  privileged "$vanished" "$vanish" <<'END'
link=$(ip -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
[ -n "$link" ] || link=$(ip -o -6 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
[ -n "$link" ] || { echo "the node has no default route"; exit 1; }
rules() {
  for tables in iptables ip6tables; do
    $tables -w -t mangle $1 PREROUTING -i $link -j DROP || [ $tables = ip6tables ]
    $tables -w -t mangle $1 POSTROUTING -o $link -j DROP || [ $tables = ip6tables ]
  done
}
echo cuts off $link
sleep 5 # for this to be reported
rules -I
sleep $0
rules -D
END
  retry said 'cuts off '
  say "$vanished is cut off for $vanish s"
}

# await_return waits until the node $vanished is back, and the services are ready.
await_return() {
  retry ended
  say "$vanished has its packets again"
  await --for=condition=Ready "node/$vanished"
  await --for=condition=Ready pod -l "$services"
  delete_privileged
  say "$vanished is back"
}

# lose_node cuts a node off, has a new raffle entered and watched meanwhile, and waits for
# the node to come back. Until Kubernetes has noticed that the node is gone, some requests to
# the cluster's DNS may have no answer, so that the job finds nobody and is started again.
lose_node() {
  local end
  cut_off
  sleep 20
  end=$((SECONDS + vanish - 40))
  until new_raffle; do
    if [ $SECONDS -ge $end ] || ! logged try-new 'nobody answers'; then fail "a new raffle can't be entered, or not be watched"; fi
  done
  say "a new raffle was entered and watched meanwhile"
  await_return
}
new_raffle() {
  k delete job try-new --ignore-not-found --timeout="${wait}s" >/dev/null
  job try-new load --target="$target" --gateway=http://gateway --max-age="$max_age" --max-p99="$max_p99" --rate=20 --duration=15s
  retry finished try-new
  succeeded try-new
}

# primary prints the PostgreSQL pod that takes writes, by the label of CloudNativePG, or the
# first if none has it.
primary() {
  local pods
  pods=$(names "$postgres_pods,cnpg.io/instanceRole=primary")
  [ -n "$pods" ] || pods=$(names "$postgres_pods")
  echo "${pods%%$'\n'*}"
}

# lose_postgres cuts off the node of PostgreSQL, where there may be more of the system. The
# odds must still be served to a new client meanwhile, and members be entered soon after the
# node is back. Some of the client's attempts lead to a gateway on the node, until Kubernetes
# has noticed that it is gone; each takes 3 s.
lose_postgres() {
  local began
  cut_off
  sleep 10
  began=$SECONDS
  until serves_odds; do
    [ $((SECONDS - began)) -lt $((vanish - 30)) ] || fail "a new client got no odds for $((SECONDS - began)) s"
    sleep 1
  done
  say "a new client got the odds after $((SECONDS - began)) s, meanwhile"
  await_return
}

# serves_odds reports whether a new client gets odds. It knows the Service by its address: DNS
# is not under test.
serves_odds() {
  local address
  address=$(k get service gateway -o 'jsonpath={.spec.clusterIP}')
  case $address in *:*) address="[$address]" ;; esac
  read -r -t 5 _ < <(k exec job/try-load -- /ko-app/rafflecast watch --gateway="http://$address" "$raffle")
}

# drainable_node prints a node that runs a gateway, but neither NATS nor PostgreSQL.
drainable_node() {
  local node
  for node in ${NODE:-$(nodes "$gateway_pods" | sort -u)}; do
    if [ -n "${NODE:-}" ] || ! { is_on "$node" "$nats_pods" || is_on "$node" "$postgres_pods"; }; then echo "$node"; return; fi
  done
}

# drain_node drains a node, waits for the services to recover elsewhere, and uncordons it.
drain_node() {
  local node
  node=$(drainable_node)
  [ -n "$node" ] || fail "every node with a gateway also runs NATS or PostgreSQL: name the node to drain by NODE=…"
  [ "$(k get node "$node" -o jsonpath='{.spec.unschedulable}')" != true ] || fail "$node is cordoned already: uncordon it, or name another node by NODE=…"
  say "draining $node"
  cordoned=$node
  # The pods of these jobs stay: they are not under test.
  k drain "$node" --ignore-daemonsets --delete-emptydir-data --pod-selector='app.kubernetes.io/name!=try' --timeout="${wait}s" >/dev/null || fail "$node can't be drained"
  say "drained $node"
  await_rollout gateway participation
  k uncordon "$node" >/dev/null && cordoned=''
  say "both services have recovered on other nodes; uncordoned $node"
}

# has_pods LABEL reports whether the namespace has pods with the label.
has_pods() { [ -n "$(names "$1")" ] || { echo; say "skipped: no pod in $namespace has the label $1"; false; }; }

[[ " $* " != *" --help "* && " $* " != *" -h "* ]] || { usage; exit 0; }
steps=("$@")
[ $# -gt 0 ] || steps=(reach gateway participation nats postgres)
for s in "${steps[@]}"; do
  case $s in reach | gateway | participation | upgrade | nats | mute | postgres | node | vanish | postgres-node) ;; *) usage >&2; exit 2 ;; esac
done
[ "$vanish" -ge 40 ] || { echo "VANISH=$vanish: must be at least 40" >&2; exit 2; }
exec 3>&1
trap cleanup EXIT
trap 'exit 130' INT TERM
say "$("${kubectl[@]}" version 2>/dev/null | tr '\n' ' ')"
await_rollout gateway participation
k get pods -o wide
callers
allow_traffic
for s in "${steps[@]}"; do
  case $s in
  reach) mode=http run_step reach nothing ;;
  gateway) run_step gateway rolling_update gateway ;;
  participation) run_step participation rolling_update participation ;;
  upgrade)
    [ -n "${UPGRADE:-}" ] || fail "the step upgrade needs a command in UPGRADE"
    run_step upgrade upgrade
    ;;
  # A stream without its leader acknowledges nothing for up to 7 s.
  nats) if has_pods "$nats_pods"; then max_age=15s run_step nats kill_pod "$(busiest_nats)"; fi ;;
  mute) if has_pods "$nats_pods"; then max_age=15s run_step mute mute_nats; unmute; fi ;;
  postgres) if has_pods "$postgres_pods"; then max_p99=20s max_retried=500 run_step postgres kill_pod "$(primary)"; fi ;;
  node) run_step node drain_node ;;
  vanish)
    vanished=$(vanishing_node)
    [ -n "$vanished" ] || fail "every node with a gateway also runs PostgreSQL: name the node to cut off by NODE=…"
    max_p99=8s max_retried=100 run_cut_off vanish lose_node
    ;;
  postgres-node)
    if has_pods "$postgres_pods"; then
      vanished=$(k get pod "$(primary)" -o 'jsonpath={.spec.nodeName}')
      # PARTICIPATION_WRITE_TIMEOUT bounds the calls under way; those that come later fail at once.
      # What an instance on that node has committed last can be published once it is back.
      max_p99=$((vanish + 30))s max_age_cut=$((vanish + 30))s max_retried=10000 timeout=15s max_silent=1 run_cut_off postgres-node lose_postgres
    fi
    ;;
  esac
done
step=''
echo
say "all steps passed: ${steps[*]}"
