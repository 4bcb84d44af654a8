/*
 * Patrols and reapers. It makes no difference whose they are, only how many are at work at once: so they are processes
 * of their own here, that work while somebody waits (or a process buries its own lost session). Each may stop after any step.
 */
#if LANES > 0
#define returned(i) (p[processOf(i)].session == RETURNED)
#ifdef NO_REAP_OWN
#define ownToBury false
#else
#define ownToBury someone(returned)
#endif
#if defined(TRIES) && !defined(NO_LOOK_AFTER_TRY)
#define patrolled (someone(awaiting) || ownToBury || asked)
#else
#define patrolled (someone(awaiting) || ownToBury)
#endif
#define l lane[_pid - N - P]

/* REAP: the session is declared dead. That its own deadline is past by then is what lease.pml shows. */
#ifdef NO_REAP_EXPIRED
#define reapable(q) (p[q].session != RETURNED)
#else
#define reapable(q) (p[q].session != ALIVE)
#endif
#define REAP(q) \
  :: d_step { patrolled && reapable(q) && !p[q].dead -> p[q].dead = 1 }

/* What TAKE OVER leaves out of the queue, and does not grant: the dead session's. */
#ifdef NO_TAKEOVER_WITHOUT_DEAD
#define isOfDead(t) false
#else
#define isOfDead(t) (l.dead != NOBODY && processOf(owner(t)) == l.dead && dead(t))
#endif

active [LANES] proctype patrol() {
end:
  do
#ifdef TRIES
  /* the look at a holder that lives is over */
  :: d_step { asked && l.job == 0 && (grant == 0 || p[processOf(owner(grant))].session == ALIVE) -> asked = 0 }
#endif
#ifndef NO_REAP
  REAP(0)
  REAP(1)
#if N > 2 && !(N == 3 && defined(SHARED))
  REAP(2)
#endif
#if N > 3 && !defined(SHARED)
  REAP(3)
#endif
#ifndef NO_REAP_DELETES
  /* then its tickets are deleted, by one command */
  :: d_step { patrolled && anyInQueue(dead) -> KEEP_UNLESS(dead(queue[x])) }
#define buried (!anyInQueue(dead))
#else
#define buried true
#endif
  /* then TAKE OVER: the lock document, the queue, the write */
  :: d_step { patrolled && l.job == 0 && grant != 0 && dead(grant) && buried ->
      l.job = PASS_ON;
      l.dead = processOf(owner(grant));
      l.k = (first == 0 -> CLEAN_FIRST : CLEAN_LATER);
#ifdef ABSOLUTE
      l.kNo = arrivals;
      l.fence = fence;
#endif
      w = 0
    }
#endif
#ifndef NO_RESCUE
  /* RESCUE: the same of a vacant lock */
  :: d_step { someone(awaiting) && l.job == 0 && grant == 0 && length > 0 ->
      l.job = RESCUE;
      l.dead = NOBODY;
#ifdef ABSOLUTE
      l.fence = (present -> fence : clock);
#endif
      w = 0
    }
#endif
  :: d_step { l.job != 0 && !l.queued ->
      l.queued = 1;
      HEAD_UNLESS(isOfDead(queue[x]));
      l.head = y;
      if
      :: y != 0 -> l.k = NONE
      :: else
      fi
    }
  :: d_step { l.job != 0 && l.queued ->
      w = l.head;
      if
      :: l.job == RESCUE ->
        if
        :: w != 0 && rescueApplies && mayRescue(w) ->
          witness(RESCUED);
          READ_FENCE;
          setGrant(w);
          byRead(w);
          writeToken(z)
        :: else
        fi
      :: l.job == PASS_ON ->
        witness(TAKEN_OVER);
        if
        :: w != 0 ->
          READ_FENCE;
          setGrant(w);
          byRead(w);
          writeToken(z)
        :: else ->
          mustAgree(l.k, l.kNo);
          if
          :: vacateApplies(l.k) -> setVacant()
          :: !vacateApplies(l.k) && firstFollows(l.k) && first != 0 && !isOfDead(first) -> w = first; setGrant(w)
          :: else
          fi
        fi
      :: else /* overturned by the write itself */
      fi;
      forgetLane(l);
#ifdef ABSOLUTE
      l.kNo = 0;
      l.fence = 0;
#endif
      w = 0
    }
  od
}
#undef l
#endif
