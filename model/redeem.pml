/* Redeeming one token: claim, then look (internal/ledger/redeem.go).
 *
 * NODES nodes get REQUESTS requests with the same token, at any time and in any order. A node may crash at any step and starts
 * anew without memory; what it has sent to the storage may still arrive. That its other requests go on all the same makes the
 * model allow more than can happen. The storage may fail or take for ever, and tell or not tell. What it promises is one thing:
 * a listing that begins after a store was acknowledged shows what was stored. Listings are not atomic. The locker may fail, or
 * keep for good what a crashed node held.
 *
 * Safety: at most one request is allowed. Progress: no request waits for ever, whatever the locker does.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef REQUESTS
#define REQUESTS 3
#endif

#define NOBODY REQUESTS

bit  remembered[NODES];    /* the node's memory of tokens that were redeemed */
bit  sent[REQUESTS];       /* claims on their way */
bit  stored[REQUESTS];     /* claims that listings show */
byte holder = NOBODY;      /* of the lock */
byte allowed;

/* The name of a request's claim. A faulty variant names claims by node. */
#ifdef NAMED_BY_NODE
#define own (me % NODES)
#else
#define own me
#endif

inline crash() {
	atomic { remembered[me % NODES] = false; goto crashed }
}

inline store_claim() {
	sent[own] = true;
	if
#ifdef NO_ACKNOWLEDGMENT
	:: true
#else
	:: stored[own]                                                   /* acknowledged */
#endif
	:: atomic { true -> remembered[me % NODES] = false; goto unlock } /* an error, or the time is up: it may arrive all the same */
	:: crash()
	fi
}

inline list_claims() {
	do
	:: d_step { other < REQUESTS && other == own && stored[other] -> found = true; other++ }
	:: d_step { other < REQUESTS && other != own && stored[other] -> others = true; other++ }
	:: d_step { other < REQUESTS && !stored[other] -> other++ }
	:: other == REQUESTS -> break
	:: goto unlock                                                   /* the storage fails */
	od
}

proctype redemption(byte me) {
	byte other;
	bit found, others, locked;

remember:
	if
	:: atomic { !remembered[me % NODES] -> remembered[me % NODES] = true }
	:: remembered[me % NODES] -> goto answered
	fi;
lock:
	if
	:: atomic { holder == NOBODY -> holder = me; locked = true }
#ifndef NEEDS_LOCK
	:: true                                                          /* the locker fails, or the time is up */
#endif
	fi;
#ifdef LOOK_FIRST
look:
	list_claims();
	if
	:: others -> goto unlock
	:: else
	fi;
claim:
	store_claim();
	found = true;
#else
claim:
	store_claim();
look:
	list_claims();
#endif
decide:
	if
	:: atomic { found && !others -> allowed++; assert(allowed <= 1) }
	:: !(found && !others)
	:: crash()
	fi;
unlock:
	if
	:: atomic { locked -> holder = NOBODY }
	:: true                                                          /* it is not held, or unlocking fails */
	fi;
answered:
	if
	:: true
	:: crash()
	fi;
crashed:
	skip;
	d_step { other = 0; found = false; others = false; locked = false }
}

/* What is on its way arrives sometime, or never. */
proctype arrival(byte claim) {
end:
	d_step { sent[claim] -> stored[claim] = true }
}

init {
	byte i;
	atomic {
		for (i : 0 .. REQUESTS - 1) {
			run redemption(i);
			run arrival(i)
		}
	}
}
