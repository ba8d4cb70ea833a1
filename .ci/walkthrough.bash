# Sourced by the scripts that do what a page tells its reader to do.
# shellcheck shell=bash

# begin_walk clones the repository and enters the clone; dir is a folder beside it. In the end all servers are stopped, and what
# they have logged is shown if something failed.
begin_walk() {
	dir=$(mktemp -d)
	trap end_walk EXIT
	git clone --quiet . "$dir/clone"
	cd "$dir/clone" || return
	# Into a file, curl would draw its progress too, which it does not on a terminal.
	printf 'no-progress-meter\nmax-time = 60\n' >"$dir/.curlrc"
	export CURL_HOME=$dir
}

end_walk() {
	local status=$? block
	stop_servers
	if ((!status)); then
		for block in "$dir"/*.sh; do
			[[ -e ${block%.sh}.ran ]] || { echo "nothing has run $block" && status=1; }
		done
	fi
	if ((status)); then
		tail -n 200 "$dir"/raw "$dir"/*.log
	fi
	rm -rf "$dir"
	exit "$status"
}

# blocks <page> <marker> <name> puts the ```sh blocks between `<!-- marker -->` and `<!-- /marker -->` into files, with what they
# must print: name-01.sh, name-02.sh, name-02.text, name-03.sh, name-03.json, …
# A test reads from the calls of this function which blocks are run: page and marker stand there as they are.
blocks() {
	awk -v to="$dir/$3" -v begin="<!-- $2 -->" -v end="<!-- /$2 -->" '
		$0 == begin      { inside = 1 }
		$0 == end        { inside = 0 }
		!inside          { next }
		file && /^```$/  { close(file); file = ""; next }
		file             { print > file; next }
		/^```sh$/        { file = sprintf("%s-%02d.sh", to, ++n); next }
		/^```text$/      { file = sprintf("%s-%02d.text", to, n); next }
		/^```json$/      { file = sprintf("%s-%02d.json", to, n); next }
	' "$1"
	[[ -f $dir/$3-01.sh ]] || { echo "$1 has nothing to do between the markers $2" && return 1; }
}

# expect fails unless the lines of file $1 occur in file $2 in the same order; `…` stands for anything.
expect() {
	local pattern line
	exec 3<"$2"
	while IFS= read -r pattern; do
		while true; do
			IFS= read -r line <&3 || { printf 'expected but not found: %s\n' "$pattern" && return 1; }
			[[ ! $line =~ ^$pattern$ ]] || break
		done
	done < <(sed -E '/^(…)?$/d; s/[][\\.*^$+?(){}|]/\\&/g; s/…/.*/g' "$1")
}

# members lists the members of the JSON on the standard input, however deep. How many a list has does not matter.
members() {
	jq -c '[paths | map(if type == "number" then 0 else . end)] | unique[]'
}

# walk runs blocks as they are written. They share this shell, so that a later one sees the variables of an earlier one.
walk() {
	local block
	for block; do
		sed 's/^/$ /' "$block"
		: >"${block%.sh}.ran"
		# shellcheck disable=SC1090
		source "$block" >"$dir/raw" 2>&1
		awk '{ sub(/\r$/, ""); print }' "$dir/raw" | tee "$dir/output"
		if [[ -f ${block%.sh}.text ]]; then
			expect "${block%.sh}.text" "$dir/output"
		fi
		if [[ -f ${block%.sh}.json ]]; then
			diff <(members <"${block%.sh}.json") <(members <"$dir/output")
		fi
	done
}

# take <block> prints a block that its caller runs, with the Caddy that was built before: in $dir, or the given one.
take() {
	local command
	: >"$dir/$1.ran"
	command=$(<"$dir/$1.sh")
	printf '%s\n' "${command//go run .\/cmd\/caddy/${2:-$dir/caddy}}"
}

# caddy is the one that was built before, in $dir. A command that has an answer which is not good exits with 3.
caddy() {
	"$dir/caddy" "$@" || (($? == 3))
}

# xcaddy is the pinned one.
xcaddy() {
	"$(go -C "$dir/clone" tool -modfile=tools/go.mod -n xcaddy)" "$@"
}

# from_clone <block>... has blocks that build Caddy take the module from the clone: this version of it is not published.
from_clone() {
	sed -i -E "s#(--with github.com/caddy-bws/caddy-bws)( |\$)#\1@v0.0.0=$dir/clone\2#" "$@"
}

# await <seconds> <command>... gives a command until it succeeds, for that long at most.
await() {
	local deadline=$((SECONDS + $1))
	until "${@:2}"; do
		((SECONDS < deadline)) || { echo "in $1 s it did not come to: ${*:2}" && return 1; }
		sleep 0.2
	done
}

listens() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_app <block> <port> starts what that block starts, and returns when it listens.
start_app() {
	local pid deadline=$((SECONDS + 120))
	if listens "$2"; then
		echo "port $2 belongs to something else"
		return 1
	fi
	set -m
	bash -c "$(take "$1")" >"$dir/$1.log" 2>&1 </dev/null &
	set +m
	pid=$!
	servers+=("$pid")
	until listens "$2"; do
		if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
			cat "$dir/$1.log"
			return 1
		fi
		sleep 0.2
	done
}
