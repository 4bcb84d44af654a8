/**
 * The names of everything the OpenTelemetry side makes: spans, attributes, metrics with their units and buckets. One table
 * for each, which `docs/telemetry.md` repeats and a test compares. No code of OpenTelemetry in here.
 */

/** The name of the instrumentation scope, which is that of the package. */
export const SCOPE_NAME = 'mongo-distributed-locks';
/** The version of the instrumentation scope: the package's own, which a test compares. */
export const SCOPE_VERSION = '4.0.0';

/** The names of the spans; with `resourceNames`, the resource follows after a space. */
export const SPANS = { wait: 'lock wait', hold: 'lock hold' } as const;

/** What happens during a span and is worth an instant on it. */
export const SPAN_EVENTS = { queued: 'lock.queued', position: 'lock.position', contended: 'lock.contended' } as const;

/** The attributes of spans, links and metrics. */
export const ATTRIBUTES = {
  operation: 'lock.operation.name',
  outcome: 'lock.outcome',
  errorType: 'error.type',
  forced: 'lock.forced',
  resource: 'lock.resource',
  id: 'lock.id',
  label: 'lock.label',
  session: 'lock.session',
  fencingToken: 'lock.fencing_token',
  position: 'lock.queue.position',
  link: 'lock.link.type',
} as const;

/** What a metric is made with. */
export interface MetricRow {
  readonly name: string;
  readonly instrument: 'histogram' | 'counter' | 'up-down counter';
  readonly unit: string;
  readonly description: string;
  /** Of a histogram. */
  readonly buckets?: readonly number[];
}

type MetricKey =
  | 'waitDuration'
  | 'holdDuration'
  | 'waitCount'
  | 'holdCount'
  | 'timeouts'
  | 'losses'
  | 'queuePosition'
  | 'heartbeatDelay'
  | 'streamLag'
  | 'streamInterruptions'
  | 'sessionLosses'
  | 'sessionsReaped'
  | 'takeovers'
  | 'errors';

/** From a handoff in memory to a lock that was waited for all day. */
const WAIT_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600,
];
/** A round trip, a slow one, and what comes near a lease. */
const DELAY_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30,
];
const POSITION_BUCKETS: readonly number[] = [1, 2, 3, 5, 10, 25, 50, 100, 250, 500, 1_000];

/** The metrics. */
export const METRICS: Readonly<Record<MetricKey, MetricRow>> = {
  waitDuration: {
    name: 'lock.client.wait.duration',
    instrument: 'histogram',
    unit: 's',
    description: 'From the call to its grant, or its failure',
    buckets: WAIT_BUCKETS,
  },
  holdDuration: {
    name: 'lock.client.hold.duration',
    instrument: 'histogram',
    unit: 's',
    description: 'From the grant to the release, or the loss',
    buckets: WAIT_BUCKETS,
  },
  waitCount: {
    name: 'lock.client.wait.count',
    instrument: 'up-down counter',
    unit: '{call}',
    description: 'Calls that wait now',
  },
  holdCount: {
    name: 'lock.client.hold.count',
    instrument: 'up-down counter',
    unit: '{lock}',
    description: 'Locks that are held now',
  },
  timeouts: {
    name: 'lock.client.wait.timeouts',
    instrument: 'counter',
    unit: '{timeout}',
    description: 'Calls that were not granted in time',
  },
  losses: {
    name: 'lock.client.hold.losses',
    instrument: 'counter',
    unit: '{lock}',
    description: 'Locks that were lost while they were held',
  },
  queuePosition: {
    name: 'lock.client.queue.position',
    instrument: 'histogram',
    unit: '{call}',
    description: 'Where calls stand in the queue, 1 being the next; only with queuePositions',
    buckets: POSITION_BUCKETS,
  },
  heartbeatDelay: {
    name: 'lock.client.heartbeat.delay',
    instrument: 'histogram',
    unit: 's',
    description: 'From when a renewal of the lease was due to its acknowledgement',
    buckets: DELAY_BUCKETS,
  },
  streamLag: {
    name: 'lock.client.stream.lag',
    instrument: 'histogram',
    unit: 's',
    description: "From the server's write of a grant to its arrival by the change stream",
    buckets: DELAY_BUCKETS,
  },
  streamInterruptions: {
    name: 'lock.client.stream.interruptions',
    instrument: 'counter',
    unit: '{interruption}',
    description: 'How often the change stream broke',
  },
  sessionLosses: {
    name: 'lock.client.session.losses',
    instrument: 'counter',
    unit: '{session}',
    description: 'Lock sessions of this process that could not be renewed in time',
  },
  sessionsReaped: {
    name: 'lock.client.session.reaped',
    instrument: 'counter',
    unit: '{session}',
    description: 'Lock sessions of others that this process found dead',
  },
  takeovers: {
    name: 'lock.client.takeovers',
    instrument: 'counter',
    unit: '{lock}',
    description: 'Locks of dead sessions that this process passed on',
  },
  errors: {
    name: 'lock.client.errors',
    instrument: 'counter',
    unit: '{error}',
    description: 'Failures in the background, which no call rejects with',
  },
};
