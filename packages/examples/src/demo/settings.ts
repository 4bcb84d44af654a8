/** What the demo locks, and the options its processes share; and what these options promise. */
export const SUBJECT = { resource: 'accounts', id: 'shared' } as const;

/** The `_id` of the lock document of `SUBJECT`. */
export const KEY = `lock:${SUBJECT.resource}/${SUBJECT.id}`;

/** Much shorter than the default of 30 seconds, so that a killed process is noticed while one watches. */
export const LEASE_MS = 3_000;
/** The default for this lease. */
export const PATROL_MS = LEASE_MS / 3;

/**
 * How long a killed process may keep the others waiting (INV-05). They saw its beats stand still for one lease, so
 * the skew of the servers' clocks does not count: what is left of its lease, which is all of it at most, and two patrols.
 */
export const RECOVERY_BOUND_MS = LEASE_MS + 2 * PATROL_MS;
