/**
 * What all runs of the fault suite share: the options of the locks, and what these promise. Numbers only. The recorded
 * runs of the docs were made with these.
 */

/** As in the lock tests of the etcd project: short enough that a fault every few seconds costs leases. */
export const LEASE_MS = 2_000;
/** The library's own defaults for this lease, written out because the bounds below are made of them. */
export const HEARTBEAT_MS = LEASE_MS / 3;
export const PATROL_MS = LEASE_MS / 3;
export const DEADLINE_MARGIN_MS = LEASE_MS / 10;
export const CLOCK_SKEW_MS = 1_000;
/** Long enough that a caller which calls again finds the session of its process open. */
export const IDLE_MS = 5_000;

/** How long the dead may keep the living waiting (INV-05): what is left of a lease, which is all of it at most, and then. */
export const RECOVERY_BOUND_MS = LEASE_MS + Math.max(CLOCK_SKEW_MS + PATROL_MS, 2 * PATROL_MS);
/** After how long the servers end a transaction, where the guarded writes are transactions. The server's own default is 60. */
export const TRANSACTION_LIFETIME_S = 2;
/**
 * By how much longer the dead may then keep the living waiting: a transaction that has written the lock document, and is
 * never committed, holds it until the server looks for such, which it does twice in that lifetime, at most every second.
 */
export const TRANSACTION_EXCESS_MS = 2 * TRANSACTION_LIFETIME_S * 1_000;
/** For processes that wait for one of two cores. Findings below it would be the machine's, not ours. */
export const SLACK_MS = 1_000;
