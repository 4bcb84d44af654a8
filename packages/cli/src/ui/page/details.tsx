/** One lock: who holds it, its queue in order, what happened to it, and the way to end a hold by force. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ForceRequest, HoldView, LockView, TicketView } from '../wire.js';
import type { Details, Selection } from './live.js';
import { ReleaseDialog } from './release-dialog.js';
import { Timeline } from './timeline.js';
import { count, counted, duration, lockName, plain, tokens, who } from './words.js';

interface LockDetailsProps {
  readonly selection: Selection;
  readonly takesFocus: boolean;
  /** Null until the first frame; of another lock while the next one is on its way. */
  readonly details: Details | null;
  readonly nowMS: number;
  readonly by: string;
  readonly forceRelease: (request: ForceRequest) => Promise<boolean>;
  readonly onDone: (message: string) => void;
}

export function LockDetails(props: LockDetailsProps) {
  const { selection, takesFocus, details, nowMS, by, forceRelease, onDone } = props;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (takesFocus) title.current?.focus();
    return () => focusRow(selection);
  }, []);
  const isCurrent = details !== null && details.resource === selection.resource && details.id === selection.id;
  const lock = isCurrent ? details.lock : null;
  return (
    <section aria-labelledby="details-title" class="details">
      <div class="head">
        <h2 id="details-title" tabIndex={-1} ref={title}>
          <bdi>{lockName(selection)}</bdi>
        </h2>
        <a href="#locks" class="button" aria-label="Close the details">
          Close
        </a>
      </div>
      {isCurrent && (
        <>
          <Holder lock={lock} nowMS={nowMS} />
          <Release
            selection={selection}
            hold={lock?.hold ?? null}
            by={by}
            forceRelease={forceRelease}
            onDone={onDone}
          />
          <Queue lock={lock} nowMS={nowMS} />
          <Timeline facts={details.timeline} lock={lock} nowMS={nowMS} />
        </>
      )}
    </section>
  );
}

/** Where the focus was before the details were opened, as far as it is still there. */
function focusRow({ resource, id }: Selection): void {
  const rows = document.querySelectorAll<HTMLElement>('[data-lock]');
  const row = [...rows].find((each) => each.dataset.lock === `${resource}/${id}`);
  (row ?? document.getElementById('locks'))?.focus();
}

interface LockProps {
  readonly lock: LockView | null;
  readonly nowMS: number;
}

function Holder({ lock, nowMS }: LockProps) {
  const hold = lock?.hold ?? null;
  if (hold === null) return <p>Nobody holds it.</p>;
  return (
    <dl class="holder">
      <dt>Holder</dt>
      <dd>
        <bdi>{who(hold.holder)}</bdi>
      </dd>
      <dt>Session</dt>
      <dd>
        <code>{plain(hold.holder.session)}</code>, {sessionWords(hold, nowMS)}
      </dd>
      <dt>Held for</dt>
      <dd>{hold.sinceMS === null ? 'unknown' : duration(nowMS - hold.sinceMS)}</dd>
      <dt>Fencing token</dt>
      <dd>
        {tokens(hold)}
        {hold.callersCount > 1 && ` (a run of ${counted(hold.callersCount, 'caller')}, one after the other)`}
      </dd>
    </dl>
  );
}

function sessionWords({ state, leaseEndMS }: HoldView, nowMS: number): string {
  if (state !== 'alive') return state === 'dead' ? 'dead' : 'without a document';
  if (leaseEndMS === null) return 'alive';
  return leaseEndMS < nowMS
    ? `lease over for ${duration(nowMS - leaseEndMS)}`
    : `lease for ${duration(leaseEndMS - nowMS)}`;
}

type ReleaseProps = Pick<LockDetailsProps, 'selection' | 'by' | 'forceRelease' | 'onDone'> & {
  readonly hold: HoldView | null;
};

/** The button, and the dialog with the hold as it was when the button was pressed. */
function Release({ selection, hold, by, forceRelease, onDone }: ReleaseProps) {
  const [asked, setAsked] = useState<HoldView | null>(null);
  return (
    <>
      {hold !== null && (
        <p>
          <button type="button" class="danger" onClick={() => setAsked(hold)}>
            Release by force …
          </button>
        </p>
      )}
      {asked !== null && (
        <ReleaseDialog
          lock={selection}
          hold={asked}
          stands={hold !== null && hold.firstToken === asked.firstToken}
          by={by}
          forceRelease={forceRelease}
          onClose={(message) => {
            setAsked(null);
            if (message === null) return;
            onDone(message);
            // The button that opened the dialog may be gone with the hold.
            document.getElementById('details-title')?.focus();
          }}
        />
      )}
    </>
  );
}

function Queue({ lock, nowMS }: LockProps) {
  const queue = lock?.queue ?? [];
  const more = (lock?.ticketsCount ?? 0) - queue.length;
  return (
    <>
      <h3>Queue{lock !== null && lock.waitersCount > 0 && `: ${counted(lock.waitersCount, 'caller')}`}</h3>
      {queue.length === 0 && <p>Nobody waits.</p>}
      <ol class="queue">
        {queue.map((ticket) => (
          <Ticket key={ticket.id} ticket={ticket} nowMS={nowMS} />
        ))}
      </ol>
      {more > 0 && <p class="quiet">and {counted(more, 'more ticket')}</p>}
    </>
  );
}

function Ticket({ ticket, nowMS }: { readonly ticket: TicketView; readonly nowMS: number }) {
  const { waiter, state, callersCount, labels, sinceMS } = ticket;
  return (
    <li>
      <bdi>{who(waiter)}</bdi>
      {callersCount > 1 && `, ${count(callersCount)} callers`}, for {duration(nowMS - sinceMS)}
      {labels.length > 0 && (
        <span class="quiet">
          {' '}
          <bdi>{labels.map(plain).join(', ')}</bdi>
        </span>
      )}
      {state !== 'alive' && <strong class="bad"> session {state}</strong>}
    </li>
  );
}
