#!/usr/bin/env bash
# Runs the quickstart in the foreground: the demo API and, before it, Caddy
# with the gate and the issuer. `make run` builds both and comes here.
#
# Settings, all optional (paths are relative to the checkout):
#   API_PORT=8080     the gated API
#   ISSUER_PORT=8081  the issuer
#   DEMO_PORT=9000    the demo API itself; loopback only
#   STATE_DIR=.run    keys, database, admin socket, logs; mode 0700
#   CADDY=bin/caddy   EXCHANGE=bin/exchange
#
# The first start makes a user for the portal and says its password, once.
#
# The Caddyfile reads API_PORT, ISSUER_PORT, DEMO_PORT, STATE_DIR (absolute)
# and BIND (the loopback addresses of this machine) from the environment.
set -euo pipefail

# Keys and logs are for the owner alone, whatever creates them.
umask 077

# Relative to this file, so that it starts from anywhere.
here=${BASH_SOURCE[0]%/*}
[[ $here != "${BASH_SOURCE[0]}" ]] || here=.
cd "$here/../.."

api_port=${API_PORT:-8080}
issuer_port=${ISSUER_PORT:-8081}
demo_port=${DEMO_PORT:-9000}
state_dir=${STATE_DIR:-.run}
caddy_bin=${CADDY:-bin/caddy}
exchange_bin=${EXCHANGE:-bin/exchange}

# How long the two may take to answer, and to end.
readonly start_seconds=30 stop_seconds=8

# Who signs in at the portal: with what demo-client may do, a bank's account and
# that of trading, both in the Caddyfile.
readonly demo_user=demo demo_accounts=(1 100001)
readonly demo_scopes='read:accounts read:market trade:orders read:eft write:eft all:eft read:remittance write:remittance all:remittance'

# Set once the two run; empty while there is nothing to end.
caddy_pid='' exchange_pid='' watcher_pid=''

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

check_programs() {
  ((BASH_VERSINFO[0] >= 4)) || fail "this needs bash 4 or newer, and bash is $BASH_VERSION"
  command -v curl >/dev/null || fail "this needs curl, to see when the two are ready"
  local program
  for program in "$caddy_bin" "$exchange_bin"; do
    [[ -x $program ]] || fail "$program is missing; build it with: make build"
  done
}

# probe HOST PORT prints "used" if something listens there, "free" if the
# address exists and nothing does, "absent" if this machine has no such
# address. The system's own answer to a connection attempt tells the three
# apart on every system, which looking for IPv6 in /proc would not.
probe() {
  local answer
  if answer=$( (LC_ALL=C; exec 3<>"/dev/tcp/$1/$2") 2>&1); then
    echo used
  elif [[ $answer == *refused* ]]; then
    echo free
  else
    echo absent
  fi
}

# check_port VARIABLE PORT WHAT
check_port() {
  local variable=$1 port=$2 what=$3 host other
  if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
    fail "$variable=$port is not a port (1 to 65535)"
  fi
  for host in 127.0.0.1 ::1; do
    if [[ $(probe "$host" "$port") == used ]]; then
      other=$((port <= 55535 ? port + 10000 : port - 10000))
      fail "port $port ($what) is in use; choose another with: $variable=$other make run"
    fi
  done
}

check_ports() {
  check_port API_PORT "$api_port" "gated API"
  check_port ISSUER_PORT "$issuer_port" "issuer"
  check_port DEMO_PORT "$demo_port" "demo API"
  if ((api_port == issuer_port || api_port == demo_port || issuer_port == demo_port)); then
    fail "API_PORT=$api_port, ISSUER_PORT=$issuer_port and DEMO_PORT=$demo_port must differ"
  fi
}

prepare_state() {
  # The umask makes it 0700. A folder that exists may serve somebody else too:
  # it is refused rather than changed.
  mkdir -p "$state_dir" || fail "cannot create STATE_DIR=$state_dir"
  state_dir=$(cd "$state_dir" && pwd -P)
  [[ $(ls -ld "$state_dir/.") == drwx------* && -O $state_dir ]] ||
    fail "$state_dir must be yours alone: chmod 700 it, or choose another folder with STATE_DIR"

  # The kernel's limit on a Unix socket's path, in bytes: 107 on Linux, 103
  # on BSD and macOS. The message of a failed bind names neither.
  local LC_ALL=C socket=$state_dir/admin.sock
  ((${#socket} <= 103)) ||
    fail "the path of the admin socket is ${#socket} bytes long, the system allows 103: $socket
       choose a shorter folder, for example: STATE_DIR=\$HOME/.bearer-run make run"

  # Two Caddys on one database would only fail later and less clearly.
  local other=''
  [[ ! -r $state_dir/run.pid ]] || read -r other <"$state_dir/run.pid" || true
  if [[ $other =~ ^[0-9]+$ && $other != "$$" ]] && kill -0 "$other" 2>/dev/null; then
    fail "process $other uses $state_dir already; end it, or choose another folder with STATE_DIR
       (if that process is something else, remove $state_dir/run.pid)"
  fi
  echo "$$" >"$state_dir/run.pid"
}

export_settings() {
  BIND='127.0.0.1'
  # Caddy does not start on an address that the machine lacks.
  if [[ $(probe ::1 "$api_port") == free ]]; then
    BIND='127.0.0.1 [::1]'
  fi
  export BIND
  export API_PORT=$api_port ISSUER_PORT=$issuer_port DEMO_PORT=$demo_port STATE_DIR=$state_dir
  # Caddy keeps its own files here too, not in the home folder.
  export XDG_DATA_HOME=$state_dir/data XDG_CONFIG_HOME=$state_dir/config
}

# open_lifeline opens a pipe that nothing is ever written to. Its write end
# (9) stays in this shell alone; when this shell is gone, even by SIGKILL,
# whoever reads the other end (8) sees EOF and knows. So every command that
# may outlive this shell is started with 9>&-.
open_lifeline() {
  local fifo=$state_dir/lifeline
  rm -f "$fifo"
  mkfifo "$fifo" || fail "cannot create $fifo"
  exec 9<>"$fifo"
  exec 8<"$fifo"
  rm -f "$fifo"
}

start() {
  "$exchange_bin" -listen "127.0.0.1:$demo_port" -exit-with-stdin \
    <&8 >"$state_dir/exchange.log" 2>&1 8<&- 9>&- &
  exchange_pid=$!
  "$caddy_bin" run --config examples/quickstart/Caddyfile --adapter caddyfile \
    </dev/null >"$state_dir/caddy.log" 2>&1 8<&- 9>&- &
  caddy_pid=$!
  # The exchange ends by itself at EOF; Caddy needs somebody to tell it.
  watch_over "$caddy_pid" <&8 >/dev/null 2>&1 8<&- 9>&- &
  watcher_pid=$!
  # Or bash would report each one's end by a signal in its own words.
  disown -a
}

# watch_over PID waits for the end of standard input and then ends PID.
watch_over() {
  read -r _ || true
  kill -TERM "$1" || return 0
  local i
  for ((i = 0; i < stop_seconds; i++)); do
    sleep 1
    kill -0 "$1" || return 0
  done
  kill -KILL "$1"
}

alive() {
  [[ -n $1 ]] && kill -0 "$1" 2>/dev/null
}

# pause SECONDS sleeps without a process: nothing ever arrives on the lifeline.
pause() {
  read -r -t "$1" -u 8 _ || true
}

healthy() {
  local status
  # Loopback through a proxy would ask another machine.
  status=$(curl --silent --noproxy '*' --max-time 2 --output /dev/null \
    --write-out '%{http_code}' "$1" 8<&- 9>&-) || return 1
  [[ $status == 200 ]]
}

# died NAME LOG: the log's end says why better than an exit code.
died() {
  {
    printf 'error: %s ended; the end of %s:\n' "$1" "$2"
    tail -n 20 "$2"
  } >&2
  exit 1
}

check_children() {
  alive "$exchange_pid" || died "the demo API" "$state_dir/exchange.log"
  alive "$caddy_pid" || died "Caddy" "$state_dir/caddy.log"
}

wait_until_ready() {
  local deadline=$((SECONDS + start_seconds)) url
  for url in "http://127.0.0.1:$api_port/health" \
    "http://127.0.0.1:$issuer_port/.well-known/oauth-authorization-server"; do
    until healthy "$url"; do
      check_children
      ((SECONDS < deadline)) ||
        fail "no answer from $url within $start_seconds s; see $state_dir/caddy.log and $state_dir/exchange.log"
      pause 0.1
    done
  done
  check_children # another program may have answered
}

# bearer runs `caddy bearer` on the Caddy that was started, over its socket.
bearer() {
  CADDY_ADMIN=unix/$state_dir/admin.sock "$caddy_bin" bearer "$@" 8<&- 9>&-
}

# settle COMMAND… is bearer where only what goes wrong is of interest.
settle() {
  local said
  said=$(bearer "$@" 2>&1) || fail "the user $demo_user of the portal could not be made: $said"
}

# welcome makes the user of the portal, unless that was done. The password goes
# through a pipe, and from there only its hash is kept. The mark comes last: a
# first start that was cut short is one again.
welcome() {
  local portal="portal: http://localhost:$issuer_port/ user $demo_user," mark=$state_dir/demo.user account password
  if [[ -e $mark ]] && bearer user show "$demo_user" >/dev/null 2>&1; then
    echo "$portal whose password the first start said; another is set with:"
    printf '  CADDY_ADMIN=%q %q bearer user password %s\n' "unix/$state_dir/admin.sock" "$caddy_bin" "$demo_user"
    return
  fi
  bearer user show "$demo_user" >/dev/null 2>&1 ||
    settle user add "$demo_user" --name "Demo user" --scopes "$demo_scopes"
  for account in "${demo_accounts[@]}"; do
    settle bind "$demo_user" "$account"
  done
  password=$(od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n')
  ((${#password} == 32)) || fail "no random password could be made from /dev/urandom"
  # printf is the shell's own: no process has the password in its arguments.
  settle user password "$demo_user" < <(printf '%s' "$password")
  echo "$portal password $password (shown once)"
  : >"$mark"
}

# running PID: like alive, but a child that has ended and waits to be reaped is
# not running any more. (Traps do not reap.)
running() {
  alive "$1" && [[ $(ps -o stat= -p "$1" 2>/dev/null) != Z* ]]
}

# stop ends what runs and waits for it. It is the EXIT trap: every way out of
# this script but SIGKILL comes through here.
stop() {
  local code=$? pid
  trap '' INT TERM HUP
  # First, or it would see the end of this shell and act.
  [[ -z $watcher_pid ]] || kill -KILL "$watcher_pid" 2>/dev/null || true
  for pid in $caddy_pid $exchange_pid; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  local deadline=$((SECONDS + stop_seconds))
  while { running "$caddy_pid" || running "$exchange_pid"; } && ((SECONDS < deadline)); do
    pause 0.1
  done
  for pid in $caddy_pid $exchange_pid; do
    kill -KILL "$pid" 2>/dev/null || true
  done
  [[ -z $caddy_pid ]] || rm -f "$state_dir/run.pid"
  exit "$code"
}

main() {
  check_programs
  check_ports
  prepare_state
  export_settings
  open_lifeline

  trap stop EXIT
  trap 'exit 0' INT TERM HUP
  start
  echo "starting; logs are in $state_dir/caddy.log and $state_dir/exchange.log"
  wait_until_ready
  welcome
  echo "ready: gated API http://localhost:$api_port, issuer http://localhost:$issuer_port (Ctrl-C ends both)"

  # Not `wait -n`: it misses a child that ended just before the call, and
  # then waits for the other one.
  while true; do
    check_children
    pause 0.5
  done
}

main
