/** Locks that were lost, sessions that died, and what was not seen: newest first. */
import type { WireFact } from '../wire.js';
import { FactLine } from './timeline.js';
import { lockName } from './words.js';

export function Incidents({ incidents }: { readonly incidents: readonly WireFact[] }) {
  return (
    <section aria-labelledby="incidents-title" class="incidents">
      <h2 id="incidents-title">Lost locks and take-overs</h2>
      {incidents.length === 0 && <p class="quiet">None since this server looks on.</p>}
      <ol class="facts" reversed>
        {incidents.toReversed().map((fact) => (
          <FactLine key={fact.number} fact={fact} {...('resource' in fact && { name: lockName(fact) })} />
        ))}
      </ol>
    </section>
  );
}
