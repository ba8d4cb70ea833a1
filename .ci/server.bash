# Sourced by the scripts that need a running Caddy.
# shellcheck shell=bash

servers=()

# serve <log> <command>... starts a server and returns when it serves its configuration.
serve() {
	local log=$1 deadline=$((SECONDS + 600)) pid
	shift
	: >"$log"
	set -m # a process group of its own: `go run` leaves its child behind when it is ended alone
	"$@" >"$log" 2>&1 </dev/null &
	set +m
	pid=$!
	servers+=("$pid")
	until grep -q 'serving initial configuration' "$log"; do
		if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
			printf 'the server did not start: %s\n' "$*"
			cat "$log"
			return 1
		fi
		sleep 0.2
	done
}

# stop_servers ends everything that serve started.
stop_servers() {
	local pid
	for pid in "${servers[@]}"; do
		kill -- "-$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	servers=()
}
