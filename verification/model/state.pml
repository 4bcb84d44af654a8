/*
 * What is stored, what each process knows, what is on its way, and what may still go wrong. Nothing happens here.
 */

/* ---- the size of a run: run.mjs sets these with -D ---- */
#ifndef N
#define N 3            /* callers */
#endif
#ifndef ROUNDS
#define ROUNDS 1       /* calls of each */
#endif
#ifndef LEAVES
#define LEAVES 0       /* callers that leave before they are served */
#endif
#ifndef CLOSES
#define CLOSES 0       /* processes that end in order: nothing of theirs is under way, and their session is stored as dead */
#endif
#ifndef CRASHES
#define CRASHES 0      /* processes that end for ever */
#endif
#ifndef LAPSES
#define LAPSES 0       /* sessions lost by a process that lives on (pause, partition); it returns under a new id */
#endif
#ifndef COPIES
#define COPIES 0       /* commands sent twice: a lost reply where the copy comes first, a late duplicate where it comes last */
#endif
#ifndef LOCK_DELETIONS
#define LOCK_DELETIONS 0    /* deletions of the lock document by hand */
#endif
#ifndef TICKET_DELETIONS
#define TICKET_DELETIONS 0  /* deletions of a ticket by hand */
#endif
#ifndef REMOVALS
#define REMOVALS 0     /* removals of the vacant lock document for being idle */
#endif
#ifndef LANES
#define LANES 0        /* patrols and reapers at work at the same time, whosever they are */
#endif
#if REMOVALS > 0
#define ABSOLUTE       /* tokens and arrivals as numbers, too */
#endif
#define SLOTS (COPIES + CRASHES + LAPSES)
#if LOCK_DELETIONS + TICKET_DELETIONS > 0
#define DELETIONS
#define AUDIT          /* its second half: a hold that stands no more is lost */
#endif

/* Each caller has a process for itself, or (SHARED) the first two have one together. */
#ifdef SHARED
#define P (N - 1)
#define processOf(i) ((i) < 2 -> 0 : (i) - 1)
#define comesAfter(i) ((i) == 0 || (i) == 2 || c[(i) - 1].calls > 0)
#else
#define P N
#define processOf(i) (i)
#define comesAfter(i) ((i) == 0 || c[(i) - 1].calls > 0)
#endif

/* ---- tickets: <caller><epoch><kind>. An epoch is one call, or one arrival anew; TRY and ARRIVE have own numbers. ---- */
#define TRY 0
#ifdef NO_OWN_NUMBERS
#define ARR 0
#else
#define ARR 1
#endif
#define ticket(i, n, k) (1 + ((i) << 3) + ((n) << 1) + (k))
#define owner(t) (((t) - 1) >> 3)
#define epoch(t) ((((t) - 1) >> 1) & 3)
#define kind(t) (((t) - 1) & 1)
#define QUEUE_MAX 8
#define bit(n) (1 << (n))

/* ---- one caller ---- */
#define IDLE 0
#define WAIT 1
#define HOLD 2

#define PENDING 0      /* arrival: it has no ticket in this session */
#define TRIED 1        /* TRY answered "held" */
#define SENT 2         /* ARRIVE was sent */

typedef Caller {
  unsigned call : 2;
  unsigned calls : 2;      /* so far */
  unsigned now : 2;        /* its epoch */
  unsigned since : 2;      /* the first epoch of this call in this session: a grant to any of them is a delivery */
  unsigned arrival : 2;
  unsigned complete : 1;   /* its arrival was marked: it has its place */
  unsigned before : N;     /* those that called after that: they must not be served before */
  unsigned delete : 4;     /* the epochs whose tickets are to be deleted */
  unsigned left : 4;       /* of those, the ones that were left, not served: no note of a first arrival may name them either */
  unsigned reborn : 2;     /* the first epoch of its second session */
  unsigned excused : 1;    /* its hold, or the grant of it, stood when a document was deleted by hand */
  unsigned stale : 1;      /* the lock document was made anew since it arrived */
};
Caller c[N];

/* ---- one process ---- */
#define ALIVE 0        /* session: as opened */
#define LAPSED 1       /* its local deadline is past; the process has not noticed */
#define CRASHED 2
#define RETURNED 3     /* alive, under a new id */

#define FREE 0         /* worker: does nothing */
#define TRY_SENT 1     /* not applied */
#define TRY_WON 2      /* applied: it granted; the reply is on its way */
#define ARR_SENT 3     /* nothing of it is applied */
#define ARR_FIRST 4    /* the first of two tickets is written */
#define ARR_HALF 5     /* every ticket is written, the mark is not */
#define ARR_DONE 6     /* applied; the reply is on its way */
#define REL_SENT 7     /* HANDOFF or VACATE is sent, not applied */
#define REL_DONE 8     /* applied, or the grant did not stand; the reply is on its way */
#define REL_REFUSED 9  /* VACATE found that others arrived; the reply is on its way */
#define REL_PAST 10    /* either, and its run has ended meanwhile */

#define NO_RUN 0
#define SERVING 1
#define FINISHED 2     /* to be released */

#define UNREAD 0       /* PREFETCH: to be sent */
#define HALF_READ 1    /* the lock document was read, the queue was not */
#define READ 2

/* What became of `arrivals` since it was read as k: only this is ever compared, so only this is kept. */
#define NONE 0
#define CLEAN_FIRST 1  /* still k, and no first arrival was noted at k: the next one will be number k+1 */
#define CLEAN_LATER 2  /* still k, but one was noted before */
#define NEXT_NOTED 3   /* not k any more, and `firstArrival` is number k+1 */
#define CHANGED 4      /* not k any more, and it is not */
#define clean(seen) ((seen) == CLEAN_FIRST || (seen) == CLEAN_LATER)

typedef Process {
  unsigned session : 2;
  unsigned dead : 1;       /* its first session was declared dead */
  unsigned worker : 4;
  unsigned sent : 6;       /* the ticket of the worker's TRY, ARRIVE or mark */
  unsigned sentToo : 6;    /* the second ticket of its ARRIVE */
  unsigned news : 6;       /* the newest grant to its session that has not come through the door */
  unsigned running : 2;
  unsigned held : 6;       /* the ticket of its run */
  unsigned prefetch : 2;
  unsigned passing : 1;    /* its run serves nobody */
  unsigned next : 6;       /* the successor that was read */
  unsigned k : 3;
#ifdef NO_BY_TOKEN
  unsigned handled : 6;    /* the ticket of the last run */
#endif
#ifdef AUDIT
  unsigned audit : 1;      /* the audit has read that its run stands no more */
#endif
#ifdef ABSOLUTE
  byte token;              /* of its run */
  byte newsToken;
  byte kNo;
#endif
};
Process p[P];
#ifdef SHARED
unsigned earlier : 1;      /* which of the two callers of the first process called first */
#endif

/* ---- the lock document and the queue ---- */
unsigned grant : 6;        /* 0: vacant, or absent */
unsigned first : 6;        /* firstArrival; 0: none is noted */
#define NOBODYS 63         /* one is, whose caller has left: the note has kept its number, and names nobody */
byte queue[QUEUE_MAX];     /* tickets, in the server's order */
unsigned length : 4;
#ifdef ABSOLUTE
unsigned present : 1;
byte fence;
byte arrivals;
byte firstNo;
byte clock;                /* the server's: never below a token it has given */
byte highest;              /* the highest token that was delivered */
#endif
#ifdef DELETIONS
unsigned absent : 1;       /* the lock document was deleted by hand, and was not made again */
#endif

/* ---- patrols and reapers at work ---- */
#define NOBODY 7
#define PASS_ON 1          /* TAKE OVER: the lock document was read, granted to a dead session */
#define RESCUE 2           /* it was read vacant */
typedef Lane {
  unsigned job : 2;
  unsigned queued : 1;     /* the queue was read, too */
  unsigned head : 6;
  unsigned dead : 3;       /* the process whose first session is left out */
  unsigned k : 3;
#ifdef ABSOLUTE
  byte kNo;
  byte fence;
#endif
};
#if LANES > 0
Lane lane[LANES];
#endif

/* ---- second copies of commands ---- */
#define C_TRY 1
#define C_ARRIVE 2         /* ticket, then mark */
#define C_MARK 3
#define C_RELEASE 4        /* HANDOFF or VACATE */
#if SLOTS > 0
typedef Copy {
  unsigned what : 3;
  unsigned ticket : 6;     /* for a release that of its run */
  unsigned next : 6;
  unsigned k : 3;
  unsigned again : 6;      /* a ticket that was sent twice: once settled it is deleted again when this copy can come no more */
#ifdef ABSOLUTE
  byte kNo;
  byte token;
#endif
};
Copy copy[SLOTS];
unsigned slot : 2;         /* the next one */
#endif

/* ---- situations that must occur: run.mjs looks for each, so that nothing holds only because nothing happens ---- */
#ifndef WITNESS
#define WITNESS 0
#endif
#define witnessIf(n, condition) must(OCCURS, WITNESS != (n) || !(condition))
#define witness(n) witnessIf(n, true)
#define VACATE_REFUSED 1        /* others have arrived, and the first of them is not the next arrival */
#define VACATE_GRANTS 2         /* the first arrival is */
#define PASSED_ON 3             /* a grant to a ticket for which nobody waits any more */
#define TOLD_BEFORE_REPLY 4     /* an event is before the reply to the TRY that granted */
#define SERVED_BEFORE_MARK 5    /* a handoff is before the mark of the ticket it grants */
#define RELEASE_TOO_LATE 6      /* a release finds that its grant stands no more */
#define TAKEN_OVER 7
#define RESCUED 8
#define COPY_OF_TRY_GRANTS 9
#define COPY_OF_MARK_GRANTS 10
#define COPY_OF_RELEASE_APPLIES 11
#define OWES_ORDER 12           /* somebody is served after one who had arrived before it called, and waited */
#define GRANTED_TO_DEAD 13      /* a handoff grants a ticket of a session that is dead */
#define OVERTURNED 14           /* a patrol's write would come too late */
#define NOTE_CLEARED 15         /* who leaves is noted as the first arrival */
#define HANDED_TO_CLOSED 16     /* a release that had read the queue before names a process that has ended in order */

/* ---- what may still go wrong ---- */
unsigned leaves : 2 = LEAVES;
unsigned crashes : 2 = CRASHES;
unsigned closes : 2 = CLOSES;
#if CLOSES > 0
unsigned closed : 3;       /* the process that has ended in order, plus one */
unsigned handed : 1;       /* the grant was given by who had read the queue */
#define isOfClosed(t) (processOf(owner(t)) + 1 == closed)
#endif
#ifdef TRIES
unsigned asked : 1;        /* somebody was refused: whether the holder lives is looked at */
#endif
unsigned lapses : 2 = LAPSES;
unsigned copies : 2 = COPIES;
unsigned lockDeletions : 2 = LOCK_DELETIONS;
unsigned ticketDeletions : 2 = TICKET_DELETIONS;
unsigned removals : 2 = REMOVALS;

hidden byte w, x, y, z, o;

/* ---- what follows from it ---- */
#define up(q) (p[q].session == ALIVE || p[q].session == RETURNED)
#define waiting(i) (c[i].call == WAIT && up(processOf(i)))
#define awaiting(i) (waiting(i) && c[i].arrival == SENT)
/* A ticket of a session that its process has lost. */
#define former(t) (p[processOf(owner(t))].session == RETURNED && epoch(t) < c[owner(t)].reborn)
#define dead(t) (p[processOf(owner(t))].dead && (p[processOf(owner(t))].session != RETURNED || former(t)))
#define isOf(q, t) (processOf(owner(t)) == (q) && !former(t))
/* Open: a grant to it is a delivery. */
#ifdef ENDLESS
#define open(t) (c[owner(t)].call == WAIT && epoch(t) == c[owner(t)].now) /* epochs come round again */
#else
#define open(t) (c[owner(t)].call == WAIT && epoch(t) >= c[owner(t)].since)
#endif
/*
 * "Exactly mine": the newest grant to the session of q is the one that its run came from, so that the grant stored is
 * that one if it names the session at all. (ABSOLUTE compares tokens as well and asserts that it comes to the same.)
 */
#define mine(q) (grant != 0 && isOf(q, grant) && p[q].news == 0)

#if N == 2
#define someone(test) (test(0) || test(1))
#elif N == 3
#define someone(test) (test(0) || test(1) || test(2))
#else
#define someone(test) (test(0) || test(1) || test(2) || test(3))
#endif

#define anyInQueue(test) ( \
  (length > 0 && test(queue[0])) || (length > 1 && test(queue[1])) || (length > 2 && test(queue[2])) || (length > 3 && test(queue[3])) || \
  (length > 4 && test(queue[4])) || (length > 5 && test(queue[5])) || (length > 6 && test(queue[6])) || (length > 7 && test(queue[7])))

#define inQueue(t) (queue[0] == (t) || queue[1] == (t) || queue[2] == (t) || queue[3] == (t) || \
  queue[4] == (t) || queue[5] == (t) || queue[6] == (t) || queue[7] == (t))
