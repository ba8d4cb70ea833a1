/* Revocations: how what one node revokes reaches the others (internal/ledger/revoke.go, and knowsRevocations in ledger.go).
 *
 * A tick is 20 seconds, a bucket three of them. Node 0 revokes a session that all nodes could open. NODES nodes, whose clocks
 * are up to a minute apart, read the newest buckets at any time, if the storage lets them: those from two before the current
 * one, or before that of the last reading, to one after it; and all when they start or have missed too many. Nodes crash at any
 * time and start anew. A store may succeed untold, fail, or take until the next tick, by the clock of who made it.
 *
 * arrives: once who revokes was told of success, a node that has read after that opens nothing.
 * blind:   a node opens nothing unless it has read the revocations since it was started, and not more than GRACE ago.
 *
 * A node that can read does so every 5 seconds. So both together say that a revoked session is good for that long, and on a node
 * that cannot read, for GRACE.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef BACK
#define BACK 2
#endif
#ifndef TICKS
#define TICKS 14
#endif

#define AHEAD      1
#define MINUTE     3
#define SKEW       MINUTE
#define GRACE      3
#define MAX_POLLED 6          /* buckets; beyond that, all are read */
#define NEVER      255
#define START      12         /* so that no bucket is negative */

byte now = START;
byte ahead[NODES];            /* how many ticks the node's clock is ahead of the one that is furthest behind */
byte bucket = NEVER;          /* where the revocation is stored; NEVER if it is not */
byte told_at = NEVER;         /* when who revokes was told */
byte read_at[NODES];          /* when the node has read, NEVER if it has not */
bit  revoked[NODES];          /* the node knows of the revocation */
bit  storing;
byte stamped;                 /* when node 0 looked at its clock to name the revocation */

#define minute(n, t) (((t) + ahead[n]) / MINUTE)

#ifdef OPENS_BLIND
#define knows_revocations(n) true
#elif defined(NO_GRACE)
#define knows_revocations(n) (read_at[n] != NEVER)
#else
#define knows_revocations(n) (read_at[n] != NEVER && now - read_at[n] <= GRACE)
#endif

inline read_revocations() {
	first = minute(me, now) - BACK;
#ifndef NO_CATCHING_UP
	if
	:: read_at[me] != NEVER && minute(me, read_at[me]) - BACK < first -> first = minute(me, read_at[me]) - BACK
	:: else
	fi;
#endif
	last = minute(me, now) + AHEAD;
	if
	:: bucket == NEVER
	:: else ->
		if
		:: read_at[me] == NEVER || last - first > MAX_POLLED || (first <= bucket && bucket <= last) -> revoked[me] = true
		:: else
		fi
	fi;
	read_at[me] = now;
	first = 0; last = 0
}

inline open() {
	if
	:: knows_revocations(me) && !revoked[me] ->
		assert(read_at[me] != NEVER && now - read_at[me] <= GRACE);                         /* blind */
		assert(told_at == NEVER || read_at[me] <= told_at)                        /* arrives */
	:: else
	fi
}

proctype node(byte me) {
	byte first, last;

	do
	:: d_step { read_at[me] != now -> read_revocations() }
	:: d_step { true -> open() }
	:: d_step { read_at[me] != NEVER -> revoked[me] = false; read_at[me] = NEVER }   /* it crashes and starts anew */
	:: now == START + TICKS -> break
	od
}

/* Revoking, which is one call on node 0. If that node crashes meanwhile, nobody is told. */
active proctype revoke() {
	atomic { true -> revoked[0] = true; stamped = now; storing = true };
	if
	:: atomic { true -> bucket = minute(0, stamped); told_at = now }
	:: d_step { true -> bucket = minute(0, stamped) }                                            /* nobody is told */
	:: skip                                                                                     /* it fails */
	fi;
	storing = false
}

/* A call takes less than a tick, but may fall into two. */
active proctype time() {
end:	do
	:: d_step { now < START + TICKS && (!storing || stamped == now) -> now++ }
	od
}

init {
	byte n;
	atomic {
		for (n : 0 .. NODES - 1) {
			read_at[n] = NEVER;
			if                                                 /* those but node 0 are alike */
			:: n < 2 || ahead[n - 1] == 0 -> ahead[n] = 0
			:: ahead[n] = SKEW
			fi;
			run node(n)
		}
		n = 0
	}
}
