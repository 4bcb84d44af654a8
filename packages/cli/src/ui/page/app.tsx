/**
 * The page: landmarks, what is shown in which of them, and the one live region. What is selected is in the fragment of the
 * address, so that links, the back button and a reload do what one expects.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Introduction } from '../wire.js';
import { Charts } from './charts.js';
import { LockDetails } from './details.js';
import { Incidents } from './incidents.js';
import { Live, type PageState, type Selection } from './live.js';
import { LockList } from './lock-list.js';
import { Summary } from './summary.js';
import { counted, plain } from './words.js';

const FILTER_PAUSE_MS = 300;
/** Losses are announced together, and no oftener. */
const ANNOUNCE_EVERY_MS = 10_000;

const LINK_WORDS: Readonly<Record<PageState['link'], string>> = {
  connecting: 'Connecting',
  open: 'Live',
  lost: 'Connection lost, trying again',
  refused: 'Refused: open the address that "dlocks ui" printed last',
};
const STATUS_WORDS: Readonly<Record<PageState['status'], string>> = {
  reading: 'Reading the database',
  live: 'Live',
  interrupted: 'The database does not answer, trying again',
  closed: 'Closed',
};

/** The whole page. */
export function App({ token }: { readonly token: string }) {
  const [state, setState] = useState<PageState | null>(null);
  const [introduction, setIntroduction] = useState<Introduction | null>(null);
  const [filter, setFilter] = useState('');
  const [outcome, setOutcome] = useState('');
  const [losses, setLosses] = useState('');
  const { selection, isChosenHere } = useSelection();
  const live = useMemo(() => new Live(token, setState), [token]);
  useEffect(() => {
    const timer = window.setTimeout(() => live.show(filter, selection), filter === '' ? 0 : FILTER_PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [live, filter, selection]);
  useEffect(() => () => live.close(), [live]);
  useEffect(() => {
    live.introduction().then(setIntroduction, () => {});
  }, [live]);
  useEffect(() => {
    document.title = introduction === null ? 'dlocks' : `${plain(introduction.database)} – dlocks`;
  }, [introduction]);
  useAnnouncedLosses(state, setLosses);
  const linkWords = state === null ? LINK_WORDS.connecting : linkOf(state);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('locks')?.focus()}>
        Skip to the locks
      </button>
      <header>
        <h1>dlocks {introduction !== null && <bdi class="quiet">{plain(introduction.database)}</bdi>}</h1>
        <p class={`link ${linkWords === 'Live' ? 'ok' : 'bad'}`}>{linkWords}</p>
      </header>
      <p class="unseen" role="status" aria-atomic="false">
        <span>{linkWords === 'Live' ? '' : linkWords}</span> <span>{outcome}</span> <span>{losses}</span>
      </p>
      {state?.problem && <p class="problem">{plain(state.problem)}</p>}
      <main class={selection === null ? '' : 'with-details'}>
        <Summary figures={state?.figures ?? null} />
        {selection !== null && (
          <LockDetails
            key={`${selection.resource}/${selection.id}`}
            selection={selection}
            takesFocus={isChosenHere}
            details={state?.details ?? null}
            nowMS={state?.nowMS ?? 0}
            by={introduction?.by ?? ''}
            forceRelease={(request) => live.forceRelease(request)}
            onDone={setOutcome}
          />
        )}
        <LockList state={state} filter={filter} onFilter={setFilter} selection={selection} />
        <Charts figures={state?.figures ?? null} />
        <Incidents incidents={state?.incidents ?? []} />
      </main>
      <footer>
        <p>
          Times are by the database server's clock, in your time zone. Figures go back five minutes, and no further than
          to when this server started. <a href="/licences.txt">Licences</a>
        </p>
      </footer>
    </>
  );
}

function linkOf({ link, status }: PageState): string {
  return link === 'open' ? STATUS_WORDS[status] : LINK_WORDS[link];
}

interface Chosen {
  readonly selection: Selection | null;
  /** On this page, and not by the address that it was opened at. */
  readonly isChosenHere: boolean;
}

/** The lock in the fragment of the address. */
function useSelection(): Chosen {
  const [fragment, setFragment] = useState(location.hash);
  const isChosenHere = useRef(false);
  useEffect(() => {
    const onChange = (): void => {
      isChosenHere.current = true;
      setFragment(location.hash);
    };
    window.addEventListener('hashchange', onChange);
    return () => window.removeEventListener('hashchange', onChange);
  }, []);
  const selection = useMemo(() => {
    const given = new URLSearchParams(fragment.slice(1));
    const resource = given.get('resource');
    const id = given.get('id');
    return resource === null || id === null ? null : { resource, id };
  }, [fragment]);
  return { selection, isChosenHere: isChosenHere.current };
}

/** Says how many locks were lost since it last said so, and not for what was there when the page was opened. */
function useAnnouncedLosses(state: PageState | null, say: (text: string) => void): void {
  const told = useRef<{ number: number; atMS: number } | null>(null);
  useEffect(() => {
    if (state === null || state.figures === null) return;
    const last = state.incidents.at(-1)?.number ?? 0;
    told.current ??= { number: last, atMS: 0 };
    const { number, atMS } = told.current;
    const news = state.incidents.filter((fact) => fact.number > number && fact.kind !== 'gap');
    if (news.length === 0 || state.nowMS - atMS < ANNOUNCE_EVERY_MS) return;
    told.current = { number: last, atMS: state.nowMS };
    say(`${counted(news.length, 'new incident')}`);
  }, [state, say]);
}
