/*
 * The callers, and the process that does for them what the engine does: it does one of TRY, ARRIVE and release at a
 * time, and everything it learns of a grant comes through one door, receive().
 */

/* ---- the door ---- */

/* Whether the grant stored is the one that the run of q came from. */
#define stands(q) (grant != 0 && isOf(q, grant) && grant == p[q].held && (p[q].news == 0 || p[q].news == grant))

/* What a caller waited for is over: it was served, or has left. A ticket in flight is deleted once that is acknowledged. */
inline settle(i) {
  if
  :: c[i].arrival == SENT && deletes(i) && !inFlightTo(i) ->
    c[i].delete = c[i].delete | bit(c[i].now)
  :: else
  fi;
#ifdef DELETIONS
  x = c[i].since;
  do
  :: x < c[i].now -> c[i].delete = c[i].delete | bit(x); x++
  :: else -> break
  od;
#endif
  c[i].arrival = PENDING;
  c[i].complete = 0;
  c[i].stale = 0;
  c[i].before = 0;
  x = 0;
  do
  :: x < N -> c[x].before = c[x].before & ~bit(i); x++
  :: else -> break
  od;
  x = 0
}

/* The same of one who leaves: no note of a first arrival may name its tickets when they are deleted. */
inline leave(i) {
  if
  :: c[i].arrival == SENT -> c[i].left = c[i].left | bit(c[i].now)
  :: else
  fi;
#ifdef DELETIONS
  x = c[i].since;
  do
  :: x < c[i].now -> c[i].left = c[i].left | bit(x); x++
  :: else -> break
  od;
#endif
  settle(i)
}

/* INV-01: nobody else believes to hold it. INV-03: nobody waits who had arrived before this one called. */
inline mustBeNext(i) {
  must(SERVED_TOO_LATE, up(processOf(i)));
  x = 0;
  do
  :: x < N ->
    must(TWO_HOLDERS, x == i || !up(processOf(x)) || c[x].call != HOLD || c[x].excused || c[i].excused);
    must(OUT_OF_ORDER, x == i || !waiting(x) || !c[x].complete || !(c[x].before & bit(i)));
    x++
  :: else -> break
  od;
  x = 0
}

inline endRun(q) {
  p[q].running = NO_RUN;
  p[q].passing = 0;
  p[q].held = 0;
  p[q].prefetch = UNREAD;
  p[q].next = 0;
  p[q].k = NONE;
#ifdef AUDIT
  p[q].audit = 0;
#endif
#ifdef ABSOLUTE
  p[q].token = 0;
  p[q].kNo = 0
#endif
}

/* INV-06: a hold is only lost where its grant stands no more. */
inline loseRun(q) {
  must(LOST_THOUGH_IT_STANDS, !stands(q) || c[owner(p[q].held)].excused);
  c[owner(p[q].held)].call = IDLE;
  c[owner(p[q].held)].excused = 0;
  endRun(q)
}

/* A grant that was not handled: a delivery if its ticket is open; else to be passed on, its ticket deleted first. */
inline receive(q) {
  o = owner(p[q].news);
  if
  :: p[q].running == SERVING -> loseRun(q)
  :: else
  fi;
  if
  :: p[q].worker == REL_DONE || p[q].worker == REL_REFUSED -> p[q].worker = REL_PAST
#ifdef RELEASE_IS_EXACT
  :: p[q].worker == REL_SENT -> p[q].worker = REFUSED_AT_ONCE
#endif
  :: else
  fi;
  p[q].held = p[q].news;
  p[q].news = 0;
  p[q].next = 0;
#ifdef ABSOLUTE
  p[q].token = p[q].newsToken;
  p[q].newsToken = 0;
#endif
#if defined(AUDIT) && !defined(NO_AUDIT_OLDER)
  p[q].audit = 0;
#endif
  if
  :: wasHandled(q) -> endRun(q)
  :: !wasHandled(q) && isOpen(q, p[q].held) ->
    mustBeNext(o);
    witnessIf(SERVED_BEFORE_MARK, p[q].worker == ARR_HALF);
    witnessIf(OWES_ORDER, c[o].before != 0);
#ifdef ABSOLUTE
    must(TOKEN_FALLS, p[q].token > highest || c[o].excused);
    highest = (p[q].token > highest -> p[q].token : highest);
#endif
    settle(o);
    c[o].call = HOLD;
    p[q].running = SERVING
#ifdef NO_PASS_ON
  :: else -> endRun(q)
#else
  :: else ->
    witness(PASSED_ON);
    p[q].running = FINISHED;
    p[q].passing = 1;
#ifndef NO_PASSED_ON_DELETED
    if
    :: kind(p[q].held) == ARR && p[q].sent != p[q].held && p[q].sentToo != p[q].held ->
      c[o].delete = c[o].delete | bit(epoch(p[q].held))
    :: else
    fi
#endif
#endif
  fi;
#ifdef NO_BY_TOKEN
  p[q].handled = p[q].held;
#endif
  skip
}

/* ---- a caller ---- */

/* Who of those alike calls first has the smaller number. A call before the process is at rest would only wait for that. */
#if defined(FINE) || defined(SHARED)
#define mayCall(i) comesAfter(i)
#else
#define mayCall(i) (comesAfter(i) && p[processOf(i)].running == NO_RUN && p[processOf(i)].worker == FREE)
#endif

#ifdef HOLDS_ON
#define mayUnlock(i) ((i) != 0) /* what is left while somebody holds for ever */
#else
#define mayUnlock(i) true
#endif

#ifdef ENDLESS
#define mayCallAgain(i) true
#define COUNT_CALL c[i].calls = 1
#else
#define mayCallAgain(i) (c[i].calls < ROUNDS)
#define COUNT_CALL c[i].calls++
#endif

#define i _pid
#define q processOf(_pid)

active [N] proctype caller() {
end:
  do
  :: d_step { c[i].call == IDLE && mayCallAgain(i) && p[q].session != CRASHED && mayCall(i) ->
      if
      :: c[i].calls > 0 -> c[i].now = (c[i].now + 1) & 3
      :: else
      fi;
      COUNT_CALL;
      c[i].since = c[i].now;
      c[i].call = WAIT;
#ifdef SHARED
      if
      :: i < 2 -> earlier = (c[1 - i].call == WAIT -> 1 - i : i)
      :: else
      fi;
#endif
      x = 0;
      do
      :: x < N ->
        if
        :: x != i && waiting(x) && c[x].complete -> c[x].before = c[x].before | bit(i)
        :: else
        fi;
        x++
      :: else -> break
      od;
      x = 0
    }
  :: d_step { c[i].call == HOLD && p[q].session != CRASHED && mayUnlock(i) -> c[i].call = IDLE; c[i].excused = 0; p[q].running = FINISHED }
  :: d_step { c[i].call == WAIT && p[q].session != CRASHED && leaves > 0 ->
      leaves--;
      c[i].call = IDLE;
      c[i].excused = 0;
      leave(i)
    }
  od
}
#undef i
#undef q

/* ---- a process: what it keeps apart ---- */

#define q (_pid - N)
#define me p[_pid - N]
#define here (me.session != CRASHED)
#define half (me.worker == ARR_FIRST || me.worker == ARR_HALF)
#define overlaps(t) (p[processOf(owner(t))].sent == (t) && p[processOf(owner(t))].worker == ARR_HALF)
#define mineOf(i) (processOf(i) == q)
#define hasTicket(i) (mineOf(i) && c[i].call == WAIT && c[i].arrival != PENDING)
#define hasCall(i) (mineOf(i) && c[i].call != IDLE)
#define hasDelete(i) (mineOf(i) && c[i].delete != 0)
#define isToBeDeleted(t) (mineOf(owner(t)) && kind(t) == ARR && (c[owner(t)].delete & bit(epoch(t))))
#define hasAwaiting(i) (mineOf(i) && c[i].call == WAIT && c[i].arrival == SENT)
#define someoneAwaits(anyq) someone(hasAwaiting)
#define isDeleted(t) (mineOf(owner(t)) && kind(t) == ARR && (c[owner(t)].delete & ~c[owner(t)].left & bit(epoch(t))))
#define hasLeftOne(i) (mineOf(i) && (c[i].left & c[i].delete) != 0)
#define hasSettled(i) (mineOf(i) && (c[i].delete & ~c[i].left) != 0)


/* ---- what becomes of it ---- */

#if SLOTS > 0
/* A second copy of what was sent last comes later, or never. */
inline duplicate() {
  if
  :: me.worker == TRY_SENT -> copy[slot].what = C_TRY; copy[slot].ticket = me.sent
  :: me.worker == ARR_SENT -> copy[slot].what = C_ARRIVE; copy[slot].ticket = me.sent; copy[slot].again = me.sent
  :: half -> copy[slot].what = C_MARK; copy[slot].ticket = me.sent
  :: me.worker == REL_SENT && releaseApplies(q, me.held) ->
    copy[slot].what = C_RELEASE;
    copy[slot].ticket = me.held;
    copy[slot].next = me.next;
    copy[slot].k = me.k;
#ifdef ABSOLUTE
    copy[slot].kNo = me.kNo;
    copy[slot].token = me.token
#endif
  :: else
  fi;
  slot++
}
#endif

inline nextEpoch(i) {
  must(TOO_SMALL, c[i].now < 3);
  c[i].now++
}

/* The session is lost: holds are lost, waiting callers arrive again under a new id. What was sent may still come. */
inline startOver() {
#ifndef NO_NEW_ID
  me.session = RETURNED;
#else
  me.session = ALIVE;
#endif
  me.news = 0;
  me.worker = FREE;
  me.sent = 0;
  me.sentToo = 0;
  endRun(q);
  x = 0;
  do
  :: x < N ->
    if
    :: processOf(x) == q ->
#ifndef NO_NEW_ID
      c[x].reborn = (c[x].calls == 0 -> 0 : c[x].now + 1);
#endif
      c[x].complete = 0;
      c[x].before = 0;
      c[x].delete = 0;
      c[x].left = 0;
      if
      :: c[x].call == WAIT ->
#ifndef NO_ARRIVE_AGAIN
        nextEpoch(x);
        c[x].since = c[x].now;
        c[x].arrival = PENDING
#endif
      :: else -> c[x].call = IDLE
      fi
    :: else
    fi;
    x++
  :: else -> break
  od;
  x = 0
}

/* Nothing of it matters any more but its tickets, and what it has sent. */
inline crash() {
  crashes--;
  endProcess()
}

inline endProcess() {
  me.session = CRASHED;
  me.news = 0;
  me.worker = FREE;
  me.sent = 0;
  me.sentToo = 0;
  endRun(q);
  w = 0;
  do
  :: w < N ->
    if
    :: processOf(w) == q ->
      settle(w);
      c[w].call = IDLE; c[w].calls = ROUNDS; c[w].now = 0; c[w].since = 0; c[w].delete = 0; c[w].left = 0; c[w].excused = 0
    :: else
    fi;
    w++
  :: else -> break
  od;
  w = 0
}

#define begun(i) (mineOf(i) && c[i].calls > 0)

/* ---- what it sends: first set down as sent, then applied (at once, since nothing differs if it is later), sent twice, or survived ---- */

inline sendTry(i) {
  c[i].arrival = TRIED;
  me.sent = ticket(i, c[i].now, TRY);
  me.worker = TRY_SENT
}

inline applyTry() {
  if
  :: tryApplies ->
    mustBeUnawaited();
    setGrant(me.sent);
    me.worker = TRY_WON
  :: else ->
    afterRefusedTry();
#ifdef TRIES
    asked = 1;
    c[owner(me.sent)].call = IDLE;
    settle(owner(me.sent));
#endif
    me.sent = 0;
    me.worker = FREE
  fi
}

/* Whoever else is pending goes along. */
inline sendArrive(i) {
  c[i].arrival = SENT;
  me.sent = ticket(i, c[i].now, ARR);
  me.worker = ARR_SENT;
#ifdef SHARED
  if
  :: q == 0 && c[1 - owner(me.sent)].call == WAIT && c[1 - owner(me.sent)].arrival != SENT ->
    o = 1 - owner(me.sent);
    c[o].arrival = SENT;
    me.sentToo = ticket(o, c[o].now, ARR)
  :: else
  fi
#endif
}

inline applyTicket() {
#ifdef NO_ARRIVE_ORDER
  setMark(me.sent);
#else
  insert(me.sent);
#endif
  me.worker = (me.sentToo == 0 -> ARR_HALF : ARR_FIRST)
}

inline applyMark() {
#ifdef NO_ARRIVE_ORDER
  insert(me.sent);
#else
  setMark(me.sent);
#endif
  arrived(me.sent);
  arrived(me.sentToo);
  me.worker = ARR_DONE
}

/* A ticket for which nobody waits any more when its ARRIVE is acknowledged is deleted then. */
inline acknowledged(t) {
  if
  :: t != 0 && !open(t) && DELETES_AT_REPLY -> c[owner(t)].delete = c[owner(t)].delete | bit(epoch(t))
  :: else
  fi
}

inline acknowledge() {
  acknowledged(me.sent);
  acknowledged(me.sentToo);
  me.sent = 0;
  me.sentToo = 0;
  me.worker = FREE
}

/* LEAVE, its first part: the note of the first arrival keeps its number, and names nobody. */
inline clearNote() {
  if
  :: namesLeft(first) -> witness(NOTE_CLEARED); first = NOBODYS
  :: else
  fi;
  do
  :: x < N ->
    if
    :: mineOf(x) -> c[x].left = c[x].left & ~c[x].delete
    :: else
    fi;
    x++
  :: else -> break
  od;
  x = 0
}

/* LEAVE, its second part, and what is done for every ticket of a hold. */
inline deleteSettled() {
  KEEP_UNLESS(isDeleted(queue[x]));
  do
  :: x < N ->
    if
    :: mineOf(x) -> c[x].delete = c[x].delete & c[x].left
    :: else
    fi;
    x++
  :: else -> break
  od;
  x = 0
}

inline applyRelease() {
  y = 1;
#ifdef ABSOLUTE
  must(OTHER_TOKEN, mine(q) == (grant == me.held && fence == me.token));
#endif
  if
  :: releaseApplies(q, me.held) ->
#ifdef ABSOLUTE
    if
    :: me.next == 0 -> mustAgree(me.k, me.kNo)
    :: else
    fi;
#endif
    release(me.held, me.next, me.k)
  :: else -> witness(RELEASE_TOO_LATE); refusedHandoff()
  fi;
  me.worker = (y -> REL_DONE : REL_REFUSED)
}

inline readLock() {
  me.k = (first == 0 -> CLEAN_FIRST : CLEAN_LATER);
#ifdef ABSOLUTE
  me.kNo = arrivals;
#endif
  skip
}

inline readQueue() {
  HEAD_UNLESS(LEFT_OUT);
  me.next = y
}

inline refusedHandoff() {
#ifdef REFUSED_HANDOFF_DELIVERS
  if
  :: me.next != 0 && isOf(q, me.next) -> me.news = me.next
  :: else
  fi
#else
  skip
#endif
}

inline answerRelease() {
  if
  :: me.worker == REL_DONE -> endRun(q)
  :: me.worker == REL_REFUSED -> me.prefetch = UNREAD; me.k = NONE; me.next = 0
  :: else
  fi;
  me.worker = FREE
}

/* Callers of one process keep their order. */
#ifdef SHARED
#define inTurn(i) ((i) > 1 || earlier == (i) || c[1 - (i)].call != WAIT || c[1 - (i)].arrival == SENT)
#else
#define inTurn(i) true
#endif
#define mayTry(i) (here && mineOf(i) && inTurn(i) && me.worker == FREE && c[i].call == WAIT && c[i].arrival == PENDING && me.running == NO_RUN && !someone(hasTicket))
#define mayArrive(i) (here && mineOf(i) && inTurn(i) && me.worker == FREE && c[i].call == WAIT && me.running != FINISHED && \
  (c[i].arrival == TRIED || (c[i].arrival == PENDING && (me.running == SERVING || someone(hasTicket)))))
#define mayFinish (here && me.running == FINISHED && me.prefetch == READ && mayRelease(q))

/* Every way in which something is sent, where the condition allows it. */
#define SENT_ANYHOW(condition, send, apply) \
  :: d_step { (condition) -> send; AT_ONCE(apply) } \
  SENT_TWICE(condition, send) SENT_AND_LAPSED(condition, send) SENT_AND_CRASHED(condition, send)

#ifdef FINE
#define AT_ONCE(apply) skip
#else
#define AT_ONCE(apply) apply
#endif
#if COPIES > 0
#define SENT_TWICE(condition, send) :: d_step { (condition) && copies > 0 -> send; copies--; duplicate() }
#else
#define SENT_TWICE(condition, send)
#endif
#if LAPSES > 0
#define SENT_AND_LAPSED(condition, send) :: d_step { (condition) && me.session == LAPSED -> send; duplicate(); startOver() }
#else
#define SENT_AND_LAPSED(condition, send)
#endif
#if CRASHES > 0
#define SENT_AND_CRASHED(condition, send) :: d_step { (condition) && me.session != RETURNED && crashes > 0 -> send; duplicate(); crash() }
#else
#define SENT_AND_CRASHED(condition, send)
#endif

#ifdef FINE
#define ANSWER skip
#else
#define ANSWER answerRelease()
#endif

#ifdef DELETIONS
#define arrivedIn(i) (here && mineOf(i) && c[i].call == WAIT && c[i].arrival == SENT && \
  me.sent != ticket(i, c[i].now, ARR) && me.sentToo != ticket(i, c[i].now, ARR))
#define isNow(i, t) ((t) == ticket(i, c[i].now, ARR))
/* The patrol: own ticket gone and not granted: arrive again. The lock document is made anew: mark again, but not where it is vacant. */
#define LOOK_AFTER(i) \
  :: d_step { TICKET_GONE_COUNTS && arrivedIn(i) && !inQueue(ticket(i, c[i].now, ARR)) && !isNow(i, grant) && !isNow(i, me.news) -> \
      nextEpoch(i); \
      c[i].complete = 0; \
      c[i].before = 0; \
      c[i].arrival = TRIED \
    } \
  :: d_step { BORN_COUNTS && arrivedIn(i) && c[i].stale && !absent && mayMarkAgain && me.worker == FREE && me.running != FINISHED -> \
      c[i].stale = 0; \
      me.sent = ticket(i, c[i].now, ARR); \
      me.worker = ARR_SENT \
    }
#endif

active [P] proctype process() {
end:
  do
#ifdef DELETIONS
  LOOK_AFTER(0)
  LOOK_AFTER(1)
#if N > 2
  LOOK_AFTER(2)
#endif
#endif
#ifdef AUDIT
  /* the audit: a hold that is older than its read, and not in its answer, is lost */
  :: d_step { here && AUDIT_LOSES && !me.audit && AUDITED && !stands(q) -> me.audit = 1 }
  :: d_step { here && me.audit ->
      me.audit = 0;
      if
      :: me.running == SERVING -> loseRun(q)
      :: else
      fi
    }
#endif
#ifdef NO_DROP
  /* an event comes once more */
  :: d_step { here && me.running == SERVING && me.news == 0 -> me.news = me.held }
#endif
#ifdef NO_RETRY
  /* what is not acknowledged is given up */
  :: d_step { here && me.worker == ARR_HALF -> me.worker = FREE; me.sent = 0 }
  :: d_step { mayFinish -> endRun(q) }
#endif
#ifdef NO_RELEASE_AFTER_ARRIVAL
  :: d_step { here && me.running == FINISHED && me.prefetch == READ && (me.worker == ARR_SENT || half) ->
      y = 1;
      if
      :: mine(q) -> release(me.held, me.next, me.k)
      :: else
      fi;
      if
      :: y -> endRun(q)
      :: else -> me.prefetch = UNREAD; me.k = NONE; me.next = 0
      fi
    }
#endif
  SENT_ANYHOW(mayTry(0), sendTry(0), applyTry())
  SENT_ANYHOW(mayTry(1), sendTry(1), applyTry())
  SENT_ANYHOW(mayArrive(0), sendArrive(0), applyTicket())
  SENT_ANYHOW(mayArrive(1), sendArrive(1), applyTicket())
#if N > 2
  SENT_ANYHOW(mayTry(2), sendTry(2), applyTry())
  SENT_ANYHOW(mayArrive(2), sendArrive(2), applyTicket())
#endif
#if N > 3
  SENT_ANYHOW(mayTry(3), sendTry(3), applyTry())
  SENT_ANYHOW(mayArrive(3), sendArrive(3), applyTicket())
#endif
#if defined(FINE) || COPIES > 0 || defined(DELETIONS)
  :: d_step { here && me.worker == TRY_SENT -> applyTry() }
  :: d_step { here && me.worker == ARR_SENT -> applyTicket() }
#ifdef TIES
  /* arrivals that overlap may share a value of `at`: then the queue's order is that of their sessions */
  :: d_step { here && me.worker == ARR_SENT && length > 0 && overlaps(queue[length - 1]) && !inQueue(me.sent) ->
      w = queue[length - 1];
      queue[length - 1] = me.sent;
      queue[length] = w;
      length++;
      me.worker = ARR_HALF
    }
#endif
  :: d_step { here && me.worker == REL_SENT -> applyRelease(); ANSWER }
#endif

  /* the reply to a TRY that granted */
  :: d_step { reliable(q) && me.worker == TRY_WON ->
      me.worker = FREE;
      if
      :: replyDelivers(q) ->
        me.news = me.sent;
        me.sent = 0;
        receive(q);
        me.prefetch = READ;
        kOfReply()
      :: else -> witness(TOLD_BEFORE_REPLY); me.sent = 0
      fi
    }

  /* the rest of ARRIVE: its second ticket, its mark, its reply */
#ifdef SHARED
  :: d_step { here && me.worker == ARR_FIRST -> insert(me.sentToo); me.worker = ARR_HALF }
#endif
#ifdef FINE
  :: d_step { here && me.worker == ARR_HALF -> applyMark() }
  :: d_step { here && me.worker == ARR_DONE -> acknowledge() }
#else
  :: d_step { here && me.worker == ARR_HALF -> applyMark(); acknowledge() }
#endif

  /* an event, the patrol or the audit tells */
  :: d_step { reliable(q) && me.news != 0 && told(q) -> receive(q); me.prefetch = UNREAD; me.k = NONE }

  /* PREFETCH: the lock document, then the queue */
  :: d_step { here && me.running != NO_RUN && me.prefetch == UNREAD && me.worker < REL_SENT ->
      FIRST_READ;
      me.prefetch = HALF_READ
    }
  :: d_step { here && me.running != NO_RUN && me.prefetch == HALF_READ ->
      SECOND_READ;
      me.prefetch = READ;
      if
      :: me.next != 0 -> me.k = NONE
      :: else
      fi
    }

  /* the tickets of settled callers are deleted, and nothing waits for that: before the release, where it makes a difference, or at any time after it */
#ifdef FINE
  :: d_step { here && someone(hasLeftOne) -> clearNote() }
  :: d_step { here && someone(hasSettled) -> deleteSettled() }
#else
  :: d_step { here && me.running == NO_RUN && someone(hasDelete) -> clearNote(); deleteSettled() }
#endif

  /* HANDOFF or VACATE, and its reply */
#ifdef FINE
  SENT_ANYHOW(mayFinish, me.worker = REL_SENT, skip)
  :: d_step { here && me.worker >= REL_DONE -> answerRelease() }
#else
  SENT_ANYHOW(mayFinish, clearNote(); deleteSettled(); me.worker = REL_SENT, applyRelease(); answerRelease())
  /* That deletions come at all is rule 9's: Spin is fair to processes, not to one choice of them, so progress takes them to be in time. */
#if !defined(DELETED_IN_TIME) && !defined(LIVE)
  SENT_ANYHOW(mayFinish && mayKeepTickets(q) && someone(hasDelete), me.worker = REL_SENT, applyRelease(); answerRelease())
#endif
#endif

#if LAPSES > 0
  /* its local deadline passes; it notices, and starts over */
  :: d_step { me.session == ALIVE && lapses > 0 && someone(begun) -> lapses--; me.session = LAPSED }
  :: d_step { me.session == LAPSED -> startOver() }
#endif
#if CRASHES > 0
  :: d_step { here && me.session != RETURNED && crashes > 0 && someone(begun) -> crash() }
#endif
#if CLOSES > 0
  /* it ends in order: the audit has found nothing, nothing is under way, and its session is stored as dead */
  :: d_step { me.session == ALIVE && closes > 0 && someone(begun) && me.running == NO_RUN && me.worker == FREE && me.news == 0 && \
      !someone(hasDelete) && !someone(hasCall) ->
      closes--;
      closed = q + 1;
      me.dead = 1;
      endProcess()
    }
#endif
#if LAPSES > 0
  /* a half-written ARRIVE goes on without it */
  :: d_step { me.session == LAPSED && half -> duplicate(); startOver() }
#endif
#if CRASHES > 0
  :: d_step { here && me.session != RETURNED && crashes > 0 && half -> duplicate(); crash() }
#endif
  od
}
#undef q
#undef me
