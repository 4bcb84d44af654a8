/**
 * The page's end of the event stream: frames in, one state out, whoever renders it. It opens the stream again after a break
 * (the browser does) and when what is asked for changes. Everything it keeps has the limits of the server's own.
 */
import type { Figures, ForceAnswer, ForceRequest, Frame, Introduction, LockView, Refusal, WireFact } from '../wire.js';

const INCIDENTS_MAX = 100;
const TIMELINE_MAX = 100;
/** A first frame comes at once, the others every second: after so long without one, nothing is live. */
const SILENCE_LIMIT_MS = 10_000;
const FORCE_LIMIT_MS = 60_000;

/** Which lock's details are open. */
export interface Selection {
  readonly resource: string;
  readonly id: string;
}

export interface Details extends Selection {
  readonly lock: LockView | null;
  /** Newest last. */
  readonly timeline: readonly WireFact[];
}

export interface PageState {
  /** `refused`: the server does not know the token, or is full. */
  readonly link: 'connecting' | 'open' | 'lost' | 'refused';
  readonly status: Frame['status'];
  readonly problem: string | null;
  readonly nowMS: number;
  readonly locks: ReadonlyMap<string, LockView>;
  readonly matchingCount: number;
  /** Newest last. */
  readonly incidents: readonly WireFact[];
  readonly figures: Figures | null;
  readonly details: Details | null;
}

const NOTHING: PageState = {
  link: 'connecting',
  status: 'reading',
  problem: null,
  nowMS: 0,
  locks: new Map(),
  matchingCount: 0,
  incidents: [],
  figures: null,
  details: null,
};

/** The state after a frame. */
function afterFrame(before: PageState, frame: Frame): PageState {
  const base = frame.isFirst ? { ...NOTHING, figures: before.figures } : before;
  return {
    link: 'open',
    status: frame.status,
    problem: frame.problem ?? null,
    nowMS: frame.nowMS,
    locks: locksAfter(base.locks, frame),
    matchingCount: frame.matchingCount,
    incidents: [...base.incidents, ...frame.incidents].slice(-INCIDENTS_MAX),
    figures: frame.figures ?? base.figures,
    details: detailsAfter(base.details, frame),
  };
}

function locksAfter(before: ReadonlyMap<string, LockView>, { shown, changed }: Frame): ReadonlyMap<string, LockView> {
  if (shown === undefined && changed.length === 0) return before;
  const known = new Map(before);
  for (const lock of changed) known.set(lock.key, lock);
  if (shown === undefined) return known;
  return new Map(
    shown.flatMap((key) => {
      const lock = known.get(key);
      return lock === undefined ? [] : [[key, lock] as const];
    }),
  );
}

function detailsAfter(before: Details | null, { selected }: Frame): Details | null {
  if (selected === undefined) return null;
  const { resource, id, lock, news } = selected;
  return { resource, id, lock, timeline: [...(before?.timeline ?? []), ...news].slice(-TIMELINE_MAX) };
}

/** The connection. */
export class Live {
  readonly #token: string;
  readonly #onState: (state: PageState) => void;
  #state: PageState = NOTHING;
  #source: EventSource | null = null;
  #silence: number | undefined;
  #filter = '';
  #selection: Selection | null = null;

  constructor(token: string, onState: (state: PageState) => void) {
    this.#token = token;
    this.#onState = onState;
  }

  /** Asks for something else to be shown. */
  show(filter: string, selection: Selection | null): void {
    this.#filter = filter;
    this.#selection = selection;
    this.#open();
  }

  close(): void {
    this.#source?.close();
    window.clearTimeout(this.#silence);
  }

  /** What the page is about. */
  async introduction(): Promise<Introduction> {
    const response = await fetch('/api/introduction', { headers: this.#headers });
    if (!response.ok) throw new Error(await refusalOf(response));
    return response.json();
  }

  /** Resolves to whether that hold was ended by this; rejects with what to show. */
  async forceRelease(request: ForceRequest): Promise<boolean> {
    const response = await fetch('/api/force-release', {
      method: 'POST',
      headers: { ...this.#headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(FORCE_LIMIT_MS),
    });
    if (!response.ok) throw new Error(await refusalOf(response));
    const answer: ForceAnswer = await response.json();
    return answer.released;
  }

  get #headers(): Record<string, string> {
    return { Authorization: `Bearer ${this.#token}` };
  }

  #open(): void {
    this.close();
    const asked = new URLSearchParams({ token: this.#token });
    if (this.#filter !== '') asked.set('filter', this.#filter);
    if (this.#selection !== null) {
      asked.set('resource', this.#selection.resource);
      asked.set('id', this.#selection.id);
    }
    // An event stream cannot carry a header.
    const source = new EventSource(`/api/events?${asked}`);
    source.onmessage = ({ data }) => this.#hear(JSON.parse(data) as Frame);
    source.onerror = () => this.#set({ link: source.readyState === EventSource.CLOSED ? 'refused' : 'lost' });
    this.#source = source;
    this.#watchSilence();
  }

  #hear(frame: Frame): void {
    this.#watchSilence();
    this.#state = afterFrame(this.#state, frame);
    this.#onState(this.#state);
  }

  #watchSilence(): void {
    window.clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#set({ link: 'lost' }), SILENCE_LIMIT_MS);
  }

  #set(change: Partial<PageState>): void {
    this.#state = { ...this.#state, ...change };
    this.#onState(this.#state);
  }
}

async function refusalOf(response: Response): Promise<string> {
  const refusal: Partial<Refusal> = await response.json().catch(() => ({}));
  return refusal.error ?? `The server answered with ${response.status}.`;
}
