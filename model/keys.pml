/* Keys: how those that one node creates reach the others before they are used (internal/ledger/keys.go, ring.go).
 *
 * NODES nodes, whose clocks are up to a tick apart, read the keys at any time, if the storage lets them, create keys at any
 * time, and crash at any time. A store may succeed, with or without telling, fail, or arrive late. A key is used at once if its
 * node has none that is in use, and otherwise PROPAGATION ticks after it was created.
 *
 * asks:  what a node seals opens at once on every other one, which asks the storage, if it answers, for keys it does not know.
 * knows: what is sealed with a key that has waited opens without asking on every node that has read the keys within
 *        PROPAGATION less what clocks are apart. So neither a storage that fails for some minutes nor a flood of unknown keys,
 *        which uses up a node's right to ask, shuts anybody out.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef KEYS
#define KEYS 2
#endif
#ifndef TICKS
#define TICKS 8
#endif

#define PROPAGATION 3
#define SKEW        1
#define NONE        255
#define UNREAD      (PROPAGATION + 1)

byte now;
bit  ahead[NODES];            /* the node's clock is ahead by SKEW */
bit  stored[KEYS];
byte use_from[KEYS];
bit  late[KEYS];              /* the key's store failed and may arrive all the same */
bit  waited[KEYS];            /* the key was not to be used at once, and has not arrived late */
byte created;                 /* how many keys were created */
bit  known[NODES * KEYS];
byte age[NODES];              /* ticks since the node read the keys, UNREAD if it has not lately, or not since it was started */

#define knows(n, k) known[(n) * KEYS + (k)]
#define clock(n)    (now + SKEW * ahead[n])

/* What the node seals with: the newest key in use. Of two that are used from the same moment, all nodes take the same one. */
inline find_current(n) {
	current = NONE; i = 0;
	do
	:: i < KEYS ->
		if
		:: knows(n, i) && use_from[i] <= clock(n) && (current == NONE || use_from[i] >= use_from[current]) -> current = i
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline read_keys(n) {
	i = 0;
	do
	:: i < KEYS ->
		if
		:: stored[i] -> knows(n, i) = true
		:: else
		fi;
		i++
	:: else -> break
	od;
	age[n] = 0; i = 0
}

inline forget_keys(n) {
	i = 0;
	do
	:: i < KEYS -> knows(n, i) = false; i++
	:: else -> break
	od;
	age[n] = UNREAD; i = 0
}

/* What the node seals now, another one is to open. */
inline present(other) {
	find_current(me);
	if
	:: current == NONE
	:: else ->
		if
		:: waited[current] && age[other] + SKEW < PROPAGATION -> assert(knows(other, current))
		:: else
		fi;
		if
		:: knows(other, current)
		:: else ->
#ifndef NEVER_ASKS
			read_keys(other);
#endif
			assert(knows(other, current))
		fi
	fi;
	current = 0
}

proctype node(byte me) {
	byte current, i, mine;

	do
	:: d_step { true -> read_keys(me) }

	/* It creates a key because one is due, or because it is told to, and stores it. */
	:: atomic {
		created < KEYS ->
		mine = created; created++;
		find_current(me);
		use_from[mine] = clock(me);
		if
		:: current == NONE
		:: else ->
			waited[mine] = true;
#ifndef AT_ONCE
			use_from[mine] = use_from[mine] + PROPAGATION
#endif
		fi;
		current = 0;
#ifdef ADD_FIRST
		knows(me, mine) = true;
#endif
		if
		:: stored[mine] = true; knows(me, mine) = true
		:: stored[mine] = true                                     /* nobody is told */
		:: late[mine] = true                                       /* it fails */
		fi;
		mine = 0
	   }

	:: d_step { true -> present((me + 1) % NODES) }
	:: d_step { NODES > 2 -> present((me + 2) % NODES) }

	:: d_step { true -> forget_keys(me) }                              /* it crashes and starts anew */

	:: now == TICKS -> break
	od
}

/* What failed may arrive all the same. */
active proctype storage() {
end:	do
	:: d_step { late[0] -> late[0] = false; waited[0] = false; stored[0] = true }
	:: d_step { late[KEYS - 1] -> late[KEYS - 1] = false; waited[KEYS - 1] = false; stored[KEYS - 1] = true }
	od
}

active proctype time() {
	byte n;
end:	do
	:: d_step {
		now < TICKS ->
		now++;
		n = 0;
		do
		:: n < NODES ->
			if
			:: age[n] < UNREAD -> age[n]++
			:: else
			fi;
			n++
		:: else -> break
		od;
		n = 0
	   }
	od
}

init {
	byte n;
	atomic {
		for (n : 0 .. NODES - 1) {
			age[n] = UNREAD;
			if                                                 /* nodes are alike: let the order of clocks be theirs */
			:: ahead[n] = true
			:: n == 0 || !ahead[n - 1] -> ahead[n] = false
			fi;
			run node(n)
		}
		n = 0
	}
}
