/**
 * The confirmation of a forced release. It shows which hold is meant and stays with that one, whatever happens meanwhile: the
 * request carries its token, and does nothing to a later hold.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type ForceRequest, type HoldView, REASON_MAX_BYTES } from '../wire.js';
import type { Selection } from './live.js';
import { lockName, plain, tokens, who } from './words.js';

interface ReleaseDialogProps {
  readonly lock: Selection;
  readonly hold: HoldView;
  /** Whether that hold is still the one. */
  readonly stands: boolean;
  readonly by: string;
  readonly forceRelease: (request: ForceRequest) => Promise<boolean>;
  /** With what to tell; null: nothing was done. */
  readonly onClose: (message: string | null) => void;
}

export function ReleaseDialog({ lock, hold, stands, by, forceRelease, onClose }: ReleaseDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState('');
  const [problem, setProblem] = useState('');
  const [isAsking, setIsAsking] = useState(false);
  const outcome = useRef<string | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const send = async (): Promise<void> => {
    const wrong = reasonProblem(reason);
    setProblem(wrong);
    if (wrong !== '' || isAsking) return;
    setIsAsking(true);
    try {
      const { resource, id } = lock;
      const released = await forceRelease({ resource, id, fencingToken: hold.firstToken, reason: reason.trim() });
      outcome.current = released
        ? `${lockName(lock)} was released by force`
        : 'That hold had ended already; nothing was done';
      // Closed before it is taken away, so that the browser lets the page have the focus again.
      dialog.current?.close();
    } catch (error) {
      setProblem((error as Error).message);
      setIsAsking(false);
    }
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="release-title"
      aria-describedby="release-text"
      onClose={() => onClose(outcome.current)}
    >
      <h2 id="release-title">Release by force?</h2>
      <div id="release-text">
        <p>
          Ends the hold of <bdi>{lockName(lock)}</bdi> by <bdi>{who(hold.holder)}</bdi>, token {tokens(hold)}. The next
          in the queue gets the lock at once. The holder is told, but may go on working until it looks: its writes are
          only kept out where they are fenced.
        </p>
        {!stands && (
          <p class="problem">That hold has ended meanwhile. Releasing it does nothing to the one that stands now.</p>
        )}
      </div>
      <label>
        Reason, for the holder and the record
        <textarea
          rows={2}
          value={reason}
          aria-invalid={problem !== ''}
          aria-describedby="release-problem"
          onInput={({ currentTarget }) => setReason(currentTarget.value)}
        />
      </label>
      <p id="release-problem" class="problem" role="alert">
        {plain(problem)}
      </p>
      <p class="quiet">
        Recorded as done by <bdi>{plain(by)}</bdi>
      </p>
      <p class="buttons">
        <button type="button" class="danger" disabled={isAsking} onClick={() => void send()}>
          {isAsking ? 'Releasing …' : 'Release by force'}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </p>
    </dialog>
  );
}

function reasonProblem(reason: string): string {
  const bytesCount = new TextEncoder().encode(reason.trim()).length;
  if (bytesCount === 0) return 'A reason is needed.';
  return bytesCount > REASON_MAX_BYTES ? `The reason is too long: ${bytesCount} of ${REASON_MAX_BYTES} bytes.` : '';
}
