/*
 * The conditions and rules of the protocol, each with the way to switch it off (-DNO_…). The rest of the model reads
 * them by name. runs.mjs says for each switch how the loss is noticed.
 */

/* ---- the conditions of the writes ---- */

/* TRY applies when vacant. */
#ifdef NO_TRY_VACANT
#define tryApplies true
#else
#define tryApplies (grant == 0)
#endif

/* HANDOFF and VACATE apply where the grant is exactly mine: not just of my session, nor of the same ticket. */
#if defined(NO_RELEASE_MINE)
#define releaseApplies(q, t) true
#define copyApplies(t) true
#elif defined(NO_RELEASE_MINE_BY_SESSION)
#define releaseApplies(q, t) (grant != 0 && isOf(q, grant))
#define copyApplies(t) (grant != 0 && processOf(owner(grant)) == processOf(owner(t)))
#elif defined(NO_RELEASE_MINE_BY_TICKET)
#define releaseApplies(q, t) (grant == (t))
#define copyApplies(t) (grant == (t))
#else
#define releaseApplies(q, t) mine(q)
#define copyApplies(t) true /* a copy of what stands no more is forgotten by then */
#define FORGET_RELEASE
/* One of an earlier grant that is still on its way can only be refused. */
#define RELEASE_IS_EXACT
#endif
#ifdef FINE
#define REFUSED_AT_ONCE REL_PAST
#else
#define REFUSED_AT_ONCE FREE
#endif

/* TAKE OVER applies while what was read still stands. */
#ifndef NO_TAKEOVER_STANDS
#define FORGET_TAKEOVER
#endif
/* RESCUE applies on vacant, at that fence. */
#if defined(NO_RESCUE_VACANT)
#define rescueApplies true
#elif defined(NO_RESCUE_FENCE)
#define rescueApplies (grant == 0)
#else
#define rescueApplies true /* forgotten by then */
#define FORGET_RESCUE
#endif

/* VACATE: the queue was seen empty at k, and `arrivals` is still k. */
#ifdef NO_VACATE_COUNT
#define vacateApplies(seen) true
#else
#define vacateApplies(seen) clean(seen)
#endif
/* … or grants the first arrival, if that is number k+1 and not a ticket of this grant. */
#if defined(NO_VACATE_GRANT)
#define firstFollows(seen) false
#elif defined(NO_VACATE_NEXT)
#define firstFollows(seen) (first != 0 && first != NOBODYS)
#else
#define firstFollows(seen) ((seen) == NEXT_NOTED && first != 0 && first != NOBODYS)
#endif
/* … and where it was refused the queue is read again. */
#ifdef NO_VACATE_AGAIN
#define VACATE_REFUSED_ENDS 1
#else
#define VACATE_REFUSED_ENDS 0
#endif
#ifdef NO_VACATE_OWN
#define firstIsNot(t) true
#else
#define firstIsNot(t) (first != (t))
#endif

/* ---- rules that are one condition of a step ---- */

/* 1: what was handled is dropped; a reply, too, goes through the door. */
#ifdef NO_ONE_DOOR
#define replyDelivers(q) true
#else
#define replyDelivers(q) (p[q].news == p[q].sent)
#endif

/* 2: no release while an own arrival is in flight; 1: and of what is only passed on not before its ticket is deleted. */
#ifdef NO_PASSED_ON_DELETED
#define mayKeepTickets(q) true
#else
#define mayKeepTickets(q) (!p[q].passing || !someone(hasDelete))
#endif
#ifdef FINE
#define mayRelease(q) (p[q].worker == FREE && mayKeepTickets(q))
#else
#define mayRelease(q) (p[q].worker == FREE)
#endif

/* 3: whether the deadline has passed is checked where a promise settles. */
#ifdef NO_CHECK_AT_SETTLE
#define reliable(q) (p[q].session != CRASHED)
#else
#define reliable(q) up(q)
#endif

/* 5: the audit tells of a grant where nobody waits, and 6: the patrol where somebody does. */
#ifdef NO_AUDIT
#define told(q) someoneAwaits(q)
#else
#define told(q) true
#endif

/* ---- rules that are a statement of a step ---- */

/* TRY: k is `arrivals` at the grant, whenever the reply comes. */
#ifdef NO_TRY_K
#define kOfReply() me.k = (first == 0 -> CLEAN_FIRST : CLEAN_LATER)
#else
#define kOfReply() skip
#endif

/* PREFETCH: the lock document, then the queue; the own run is left out, and what this process is about to delete. */
#ifdef NO_PREFETCH_ORDER
#define FIRST_READ readQueue()
#define SECOND_READ readLock()
#else
#define FIRST_READ readLock()
#define SECOND_READ readQueue()
#endif
#ifdef NO_PREFETCH_OWN
#define isOwnRun false
#else
#define isOwnRun (queue[x] == me.held)
#endif
#ifdef NO_PREFETCH_SETTLED
#define LEFT_OUT isOwnRun
#else
#define LEFT_OUT (isOwnRun || isToBeDeleted(queue[x]))
#endif

/* LEAVE, and the end of a hold, delete the ticket. */
#ifdef NO_LEAVE_DELETES
#define deletes(i) (c[i].call != IDLE)
#else
#define deletes(i) true
#endif
/* … and before that the note of the first arrival that names it. */
#ifdef NO_LEAVE_NOTE
#define namesLeft(t) false
#else
#define namesLeft(t) ((t) != 0 && (t) != NOBODYS && mineOf(owner(t)) && (c[owner(t)].left & c[owner(t)].delete & bit(epoch(t))))
#endif
/* 2: … once its ARRIVE was acknowledged. */
#ifdef NO_DELETE_AFTER_ARRIVAL
#define DELETES_AT_REPLY false
#define inFlightTo(i) false
#else
#define DELETES_AT_REPLY true
#define inFlightTo(i) (p[processOf(i)].sent == ticket(i, c[i].now, ARR) || p[processOf(i)].sentToo == ticket(i, c[i].now, ARR))
#endif

/* 1: grants are told apart by token, never by ticket. */
#ifdef NO_BY_TOKEN
#define wasHandled(q) (p[q].held == p[q].handled)
#else
#define wasHandled(q) false
#endif
/* 1: a ticket is open from before TRY is sent. */
#ifdef NO_OPEN_BEFORE_SENT
#define isOpen(q, t) (open(t) && p[q].sent != (t))
#else
#define isOpen(q, t) open(t)
#endif
/* 1: after a dropped reply a caller not served arrives again. */
#ifdef NO_AGAIN_AFTER_DROP
#define afterRefusedTry() \
  if \
  :: isOf(q, grant) -> c[owner(me.sent)].arrival = (c[owner(me.sent)].call == WAIT -> SENT : PENDING) \
  :: else \
  fi
#else
#define afterRefusedTry() skip
#endif

/* 5: only a hold that is older than the read is judged. */
#ifdef NO_AUDIT_OLDER
#define AUDITED (me.running == NO_RUN)
#else
#define AUDITED (me.running == SERVING)
#endif

#ifdef NO_AUDIT_LOSES
#define AUDIT_LOSES false
#else
#define AUDIT_LOSES true
#endif

/* 6: RESCUE grants the head, whoever it is. */
#ifdef NO_RESCUE_WHOEVER
#define mayRescue(t) open(t)
#else
#define mayRescue(t) true
#endif

/* 6: own ticket gone: arrive again. Lock document made anew: mark again, where it is held. */
#ifdef NO_TICKET_GONE
#define TICKET_GONE_COUNTS false
#else
#define TICKET_GONE_COUNTS true
#endif
#ifdef NO_BORN
#define BORN_COUNTS false
#else
#define BORN_COUNTS true
#endif
#ifdef MARK_AGAIN_ON_VACANT
#define mayMarkAgain true
#else
#define mayMarkAgain (grant != 0)
#endif

/* 2: … once more a lease later, if nobody waits for it any more. */
#ifdef DELETED_WHILE_OPEN
#define mayGoAgain(t) (p[processOf(owner(t))].sent != (t) && p[processOf(owner(t))].sentToo != (t))
#else
#define mayGoAgain(t) (!open(t) && p[processOf(owner(t))].sent != (t) && p[processOf(owner(t))].sentToo != (t))
#endif
