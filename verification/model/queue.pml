/*
 * The queue of one lock: callers in processes that lock and unlock it, patrols that reap and rescue, and a world that
 * crashes processes, ends their sessions, repeats commands late, and deletes documents. Every write that the server
 * applies in one step, and every read it answers from one instant, is one step here; anything else may happen in between.
 *
 * What it is not: time. That a session is declared dead only after its own deadline is shown by lease.pml and taken for
 * granted here. README.md says what else is abstracted. Called by run.mjs, once for each line of runs.mjs.
 */
#include "properties.pml"
#include "state.pml"
#include "rules.pml"
#include "writes.pml"
#include "process.pml"
#include "patrol.pml"
#include "faults.pml"

/* Nothing can happen any more: everybody was served, and nothing is left but what belongs to the crashed. */
#if !defined(LIVE) && !defined(ENDLESS)
#define crashed(t) (p[processOf(owner(t))].session == CRASHED)
/* Of one that ended in order only what a release gives it that had read the queue before it left. */
#if CLOSES > 0
#define mayStay(t) (!isOfClosed(t) || (handed && (t) == grant))
#else
#define mayStay(t) true
#endif
active proctype rest() {
end:
  do
#ifdef HOLDS_ON
  :: d_step { timeout ->
      x = 0;
      do
      :: x < length ->
        must(TICKET_LEFT, c[0].call != HOLD || open(queue[x]) || queue[x] == p[processOf(0)].held);
        x++
      :: else -> break
      od;
      must(NEVER_LOST, c[0].call != HOLD || stands(processOf(0)));
      x = 0
    } -> break
#else
  :: d_step { timeout ->
      x = 0;
      do
      :: x < N ->
        must(NEVER_SERVED, !up(processOf(x)) || (c[x].call == IDLE && c[x].calls == ROUNDS));
        x++
      :: else -> break
      od;
      must(GRANT_LEFT, grant == 0 || (crashed(grant) && mayStay(grant)));
      x = 0;
      do
      :: x < length ->
        must(TICKET_LEFT, crashed(queue[x]) && mayStay(queue[x]));
        x++
      :: else -> break
      od;
      x = 0
    } -> break
#endif
  od
}
#endif

/* Whoever waits, and whose process lives, is served in the end. */
#ifdef LIVE
#if defined(SHARED) && LIVE < 2
#define ITS 0
#elif defined(SHARED)
#define ITS (LIVE - 1)
#else
#define ITS LIVE
#endif
#define called (c[LIVE].call == WAIT && p[ITS].session != CRASHED)
#define served (c[LIVE].call != WAIT || p[ITS].session == CRASHED)
#ifdef TRIES
/* Whoever only tries waits for nobody: but what the dead hold is passed on, while somebody tries. */
#define ofDead (grant != 0 && p[processOf(owner(grant))].session == CRASHED)
ltl progress { [] (ofDead -> <> !ofDead) }
#else
ltl progress { [] (called -> <> served) }
#endif
#endif
