/*
 * The writes and reads of the stored documents, each as the server does it in one step, and the properties that every
 * write must keep. The parameters of inline functions are texts: they must not be called like a field.
 */

/* Deletes every ticket for which the condition on queue[x] holds. */
#define KEEP_UNLESS(condition) \
  x = 0; y = 0; z = length; \
  do \
  :: x < z && (condition) -> length--; x++ \
  :: x < z && !(condition) -> queue[y] = queue[x]; y++; x++ \
  :: else -> break \
  od; \
  do \
  :: y < z -> queue[y] = 0; y++ \
  :: else -> break \
  od; \
  x = 0

/* Reads the first ticket for which the condition on queue[x] does not hold into y; 0: there is none. */
#define HEAD_UNLESS(condition) \
  x = 0; y = 0; \
  do \
  :: x < length && (condition) -> x++ \
  :: x < length && !(condition) -> y = queue[x]; break \
  :: else -> break \
  od; \
  x = 0

#define forgetLane(l) l.job = 0; l.queued = 0; l.head = 0; l.dead = 0; l.k = NONE
#define forgetCopy(n) copy[n].what = 0; copy[n].ticket = 0; copy[n].next = 0; copy[n].k = NONE

inline overturnLane(l) {
  witnessIf(OVERTURNED, l.job != 0);
  if
#ifdef FORGET_TAKEOVER
  :: l.job == PASS_ON -> forgetLane(l)
#endif
#ifdef FORGET_RESCUE
  :: l.job == RESCUE -> forgetLane(l)
#endif
  :: else
  fi
}

inline overturnCopy(n) {
  if
#ifdef FORGET_RELEASE
  :: copy[n].what == C_RELEASE -> forgetCopy(n)
#endif
  :: else
  fi
}

/*
 * The lock document changes: what others have read of it stands no more, and the write that would follow is refused.
 * What can only be refused is forgotten at once, which makes no difference to anybody and saves many states.
 */
inline overturn() {
#if LANES > 0
  overturnLane(lane[0]);
#endif
#if LANES > 1
  overturnLane(lane[1]);
#endif
#if SLOTS > 0
  overturnCopy(0);
#endif
#if SLOTS > 1
  overturnCopy(1);
#endif
#if SLOTS > 2
  overturnCopy(2);
#endif
  skip
}

#ifdef ABSOLUTE
/* A token above all that were given: from the document, or where there is none from the server's clock. */
inline nextToken() {
  if
#ifdef NO_FENCE_ADVANCE
  :: present
#else
  :: present -> fence++
#endif
  :: else ->
    present = 1;
#ifdef NO_CLOCK_TOKEN
    fence = 1
#else
    fence = clock + 1
#endif
  fi;
  clock = (fence > clock -> fence : clock)
}
#endif

/* The token of a grant is reckoned by who writes it, from the fence that was read: what was read must be what stood. */
#ifdef ABSOLUTE
#define READ_FENCE z = l.fence
#define writeToken(read) fence = (read) + 1; p[o].newsToken = (p[o].news != 0 -> fence : 0)
#else
#define READ_FENCE skip
#define writeToken(read) skip
#endif

/* Every grant: it clears the first arrival, and is news to the session it names. */
inline setGrant(t) {
  overturn();
#ifdef ABSOLUTE
  nextToken();
#endif
#ifdef DELETIONS
  absent = 0;
#endif
  grant = t;
#if CLOSES > 0
  handed = 0;
#endif
#ifndef NO_GRANT_CLEARS
  first = 0;
#endif
  o = processOf(owner(t));
  witnessIf(GRANTED_TO_DEAD, dead(t));
  if
  :: p[o].session != CRASHED && !former(t) ->
    p[o].news = t;
#ifdef ABSOLUTE
    p[o].newsToken = fence;
#endif
    if
    :: kind(t) == TRY ->
      p[o].k = (first == 0 -> CLEAN_FIRST : NEXT_NOTED);
#ifdef ABSOLUTE
      p[o].kNo = arrivals
#endif
    :: else
    fi
  :: else
  fi
}

/* INV-04, and no wake-up is lost: nobody whose arrival is complete waits while the lock is vacant. */
inline mustBeUnawaited() {
  x = 0;
  do
  :: x < N ->
    must(VACANT_THOUGH_AWAITED, !(waiting(x) && c[x].complete));
    x++
  :: else -> break
  od;
  x = 0
}

inline setVacant() {
  overturn();
  grant = 0;
  first = 0;
  mustBeUnawaited()
}

inline count(seen) {
  if
  :: seen == CLEAN_FIRST -> seen = NEXT_NOTED
  :: seen == CLEAN_LATER -> seen = CHANGED
#ifdef NO_ARRIVE_NOTE_FIRST
  :: seen == NEXT_NOTED -> seen = CHANGED
#endif
  :: else
  fi
}

inline countAll() {
#ifndef NO_ARRIVE_COUNT
  x = 0;
  do
  :: x < P -> count(p[x].k); x++
  :: else -> break
  od;
#if LANES > 0
  count(lane[0].k);
#endif
#if LANES > 1
  count(lane[1].k);
#endif
#if SLOTS > 0
  count(copy[0].k);
#endif
#if SLOTS > 1
  count(copy[1].k);
#endif
#if SLOTS > 2
  count(copy[2].k);
#endif
#endif
  x = 0
}

/* The arrival mark: `arrivals` + 1; notes the first one; grants where it is vacant. */
inline setMark(t) {
#ifdef ABSOLUTE
  if
  :: !present -> arrivals = 0
  :: else
  fi;
#endif
  if
#ifndef NO_ARRIVE_GRANT
  :: grant == 0 ->
    mustBeUnawaited();
    setGrant(t)
#endif
  :: else ->
    countAll();
#ifdef NO_ARRIVE_NOTE_FIRST
    first = t;
#endif
    if
    :: first == 0 ->
      first = t;
#ifdef ABSOLUTE
      firstNo = arrivals + 1
#endif
    :: else
    fi
  fi;
#ifdef ABSOLUTE
  arrivals++;
#endif
  skip
}

/* The arrival of ticket t is acknowledged by the server: from now on it has its place. */
inline arrived(t) {
  if
  :: t != 0 && kind(t) == ARR && inQueue(t) && waiting(owner(t)) && !former(t) && epoch(t) == c[owner(t)].now -> c[owner(t)].complete = 1
  :: else
  fi
}

/* The ticket upsert: sent again, it keeps its place. */
inline insert(t) {
#ifdef NO_PLACE_KEPT
  KEEP_UNLESS(queue[x] == t);
#endif
  x = 0;
  y = 0;
  do
  :: x < length && queue[x] == t -> y = 1; break
  :: x < length && queue[x] != t -> x++
  :: else -> break
  od;
  if
  :: y
  :: else ->
    must(TOO_SMALL, length < QUEUE_MAX);
    queue[length] = t;
    length++
  fi
}

#ifdef ABSOLUTE
#define mustAgree(seen, number) \
  must(OTHER_COUNT, clean(seen) == ((number) == arrivals)); \
  must(OTHER_COUNT, ((seen) == NEXT_NOTED) == ((number) != arrivals && first != 0 && firstNo == (number) + 1))
#else
#define mustAgree(seen, number) skip
#endif

/* VACATE of the run of ticket t with what was seen as k. In y: whether the run is over. */
inline vacate(own, seen) {
  y = 1;
  if
  :: vacateApplies(seen) -> setVacant()
  :: else ->
    if
    :: firstFollows(seen) && firstIsNot(own) -> witness(VACATE_GRANTS); z = first; setGrant(z)
    :: else -> witness(VACATE_REFUSED); y = VACATE_REFUSED_ENDS
    fi
  fi
}

/* Who grants what it has read of the queue may name one who has left since, and ended. */
inline byRead(t) {
#if CLOSES > 0
  witnessIf(HANDED_TO_CLOSED, isOfClosed(t));
  handed = 1
#else
  skip
#endif
}

/* HANDOFF to a successor, or VACATE. */
inline release(own, successor, seen) {
  y = 1;
  if
  :: successor != 0 -> z = successor; setGrant(z); byRead(z)
  :: else -> vacate(own, seen)
  fi
}
