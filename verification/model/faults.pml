/*
 * What happens on the way and in the database: second copies of commands, the deletion of documents by hand, the removal
 * of a vacant lock document for being idle. What happens to processes is in process.pml.
 */

#if SLOTS > 0
#define n (_pid - N - P - LANES)
active [SLOTS] proctype network() {
end:
  do
  :: d_step { copy[n].what != 0 -> forgetCopy(n) }
  :: d_step { copy[n].what == C_TRY ->
      w = copy[n].ticket;
      forgetCopy(n);
      if
      :: tryApplies -> witness(COPY_OF_TRY_GRANTS); mustBeUnawaited(); setGrant(w)
      :: else
      fi
    }
  :: d_step { copy[n].what == C_ARRIVE -> w = copy[n].ticket; insert(w); copy[n].what = C_MARK }
  :: d_step { copy[n].what == C_MARK -> w = copy[n].ticket; forgetCopy(n); witnessIf(COPY_OF_MARK_GRANTS, grant == 0); setMark(w); arrived(w) }
  :: d_step { copy[n].what == C_RELEASE ->
      if
      :: copyApplies(copy[n].ticket) ->
        witness(COPY_OF_RELEASE_APPLIES);
#ifdef ABSOLUTE
        must(OTHER_TOKEN, fence == copy[n].token);
        if
        :: copy[n].next == 0 -> mustAgree(copy[n].k, copy[n].kNo)
        :: else
        fi;
#endif
        w = copy[n].next;
        release(copy[n].ticket, w, copy[n].k)
      :: else
      fi;
      forgetCopy(n)
    }
#ifndef NO_DELETED_AGAIN
  /* a lease later no copy can come any more: a ticket that was sent twice is deleted once more, if it is settled */
  :: d_step { copy[n].again != 0 && copy[n].what == 0 && mayGoAgain(copy[n].again) ->
      w = copy[n].again;
      copy[n].again = 0;
      if
      :: up(processOf(owner(w))) && !former(w) -> c[owner(w)].delete = c[owner(w)].delete | bit(epoch(w))
      :: else
      fi
    }
#endif
  od
}
#undef n
#endif

/* ---- by hand ---- */
#ifdef DELETIONS

/* From here on INV-03 and INV-04 hold again for those who mark again, and INV-01 does not cover the grants that stood. */
inline deleteLock() {
  overturn();
  if
  :: grant != 0 && (c[owner(grant)].call == HOLD || open(grant)) -> c[owner(grant)].excused = 1
  :: else
  fi;
  grant = 0;
  first = 0;
  absent = 1;
#ifdef ABSOLUTE
  present = 0;
  arrivals = 0;
  firstNo = 0;
  fence = 0;
#endif
  x = 0;
  do
  :: x < N ->
    c[x].complete = 0;
    c[x].before = 0;
    c[x].stale = (c[x].arrival == SENT);
    x++
  :: else -> break
  od;
  x = 0
}

inline deleteTicket(n) {
  w = queue[n];
  KEEP_UNLESS(queue[x] == w);
  if
  :: open(w) -> c[owner(w)].complete = 0; c[owner(w)].before = 0
  :: else
  fi;
  w = 0
}

active proctype operator() {
end:
  do
#if LOCK_DELETIONS > 0
  :: d_step { lockDeletions > 0 && grant != 0 -> lockDeletions--; deleteLock() }
#endif
#if TICKET_DELETIONS > 0
  :: d_step { ticketDeletions > 0 && length > 0 -> ticketDeletions--; deleteTicket(0) }
  :: d_step { ticketDeletions > 0 && length > 1 -> ticketDeletions--; deleteTicket(1) }
#endif
  od
}
#endif

/* ---- the index that removes idle lock documents ---- */
#if REMOVALS > 0
/* Nothing is lost with it but its numbers. */
active proctype idle() {
end:
  do
  :: d_step { removals > 0 && present && grant == 0 -> removals--; present = 0; arrivals = 0; firstNo = 0; fence = 0 }
  od
}
#endif
