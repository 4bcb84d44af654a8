/*
 * The lease of one session, in discrete time: a holder that renews it, a reaper that reads it and declares it dead, and
 * servers whose clocks differ by up to `clockSkewMS`. It shows what queue.pml takes for granted: nobody declares a session
 * dead while its process may still rely on it; and the bound that INV-05 gives for a dead holder.
 *
 * Every instant is kept as what is left until it, or what has passed since, and no further than it matters: so time has
 * no end here. Called by run.mjs.
 */
#include "properties.pml"

#ifndef LEASE
#define LEASE 3
#endif
#ifndef SKEW
#define SKEW 2         /* clockSkewMS */
#endif
#define MARGIN 1       /* what the deadline is early by; at most so much may clocks run wrong over one lease, together */
#ifndef PATROL
#define PATROL 1
#endif
#ifndef ELECTIONS
#define ELECTIONS 0    /* another primary, whose clock differs; the one before may go on answering for a while */
#endif
#ifndef DELETIONS
#define DELETIONS 0    /* the session document is deleted by hand */
#endif
#ifndef SUSPENDS
#define SUSPENDS 0     /* the holder's machine sleeps */
#endif
/* BOUND: the holder ends, the reaper looks whenever it is due, and the bound of INV-05 is checked. */

#define PAST (SKEW + LEASE)  /* how long past `until` is told apart */

/* a session document */
#define ABSENT 0
#define ALIVE 1
#define DEAD 2
typedef Session {
  unsigned state : 2;
  byte left;           /* `until` less the server's now, plus PAST */
}
Session stored;
byte ahead;            /* how far the primary's clock is ahead of real time */
/* what a primary that was voted out, and does not know it, still has of it */
Session old;
bit divided;

bit slow, fast;        /* the holder's clock runs slow, the reaper's runs fast */

/* the holder */
#define OPENING 0
#define RELIES 1
#define LOST 2
#define CRASHED 3
unsigned phase : 2;
bit openSent, opened;
byte openAge;
byte deadline;         /* how long it may still rely on it; 0: no longer */
bit lapsed;            /* that was 0 once */
bit asleep;

#define NOTHING 0
#define SENT 1
#define RENEWED 2      /* applied; the answer is on its way */
#define REFUSED 3
typedef Renewal {
  unsigned state : 2;
  byte age;            /* since it was sent */
}
#ifdef TWO
#define RENEWALS 2     /* renewals on their way at once */
#else
#define RENEWALS 1
#endif
Renewal renewal[RENEWALS];
bit copyComes;         /* a second copy of a renewal is on its way */

/* the reaper */
unsigned reading : 2;  /* 1: a read was sent; 2: it was served, its answer is on its way */
byte readAge;          /* since it was sent */
bit seen;
byte seenAge;
/* Beats are only ever compared: kept is whether those stored, or those the old primary has, differ from those seen or just read. */
bit moved, oldMoved;
bit readMoved, readOldMoved, readNew;
bit oldBehind;         /* those stored differ from those the old primary has */
bit watched;           /* it has looked before the last renewal, and ever since */
byte due = 1;          /* when it looks next */
bit convicted;         /* it was told "dead" */

unsigned elections : 2 = ELECTIONS;
unsigned deletions : 2 = DELETIONS;
unsigned suspends : 2 = SUSPENDS;

/* ---- the rules, each with the way to switch it off ---- */

/* 3: the deadline counts from the start of the renewal … */
#ifdef NO_DEADLINE_FROM_START
#define aged(a) 0
#else
#define aged(a) (a)
#endif
/* … less the margin. */
#ifdef NO_DEADLINE_MARGIN
#define relied(a) (LEASE + slow > aged(a) -> LEASE + slow - aged(a) : 0)
#else
#define relied(a) (LEASE - MARGIN + slow > aged(a) -> LEASE - MARGIN + slow - aged(a) : 0)
#endif
/* 3: a renewal acknowledged after it revives nothing. */
#ifdef NO_LATE_RENEWAL_VOID
#define inTime true
#else
#define inTime (deadline > 0)
#endif
/* 4: the session is written before anything is asked for in its name. */
#ifdef NO_SESSION_FIRST
#define relies (phase == OPENING && openSent || phase == RELIES && deadline > 0)
#else
#define relies (phase == RELIES && deadline > 0)
#endif
/* RENEW: where alive. */
#ifdef NO_RENEW_ALIVE
#define renewable (stored.state != ABSENT)
#else
#define renewable (stored.state == ALIVE)
#endif
/* REAP: `until` + clockSkewMS is past; */
#ifdef NO_REAP_SKEW
#define expired(s) (s.left < PAST)
#else
#define expired(s) (s.left + SKEW < PAST)
#endif
/* … or `until` is past, and the beats are what they were one lease ago, on the reaper's own clock, counted from the answer. */
#ifdef NO_REAP_UNTIL
#define isPast(s) true
#else
#define isPast(s) (s.left < PAST)
#endif
#ifdef NO_REAP_WAIT
#define stoodStill seen
#else
#define stoodStill (seen && seenAge + fast >= LEASE)
#endif
#ifdef NO_REAP_BEATS
#define sameBeats(differ) true
#else
#define sameBeats(differ) !(differ)
#endif
/* REAP: an absent session is convicted one lease later. */
#ifdef NO_REAP_ABSENT_WAIT
#define mayConvict(s) (s.state == DEAD)
#else
#define mayConvict(s) (s.state == DEAD && s.left <= PAST)
#endif

/* ---- the writes ---- */

inline mustNotRely() {
  must(DEAD_WHILE_RELIED, !(convicted && relies))
}

inline mustNotRevive() {
  must(RELIED_ON_AGAIN, !(lapsed && relies))
}

inline renew() {
  stored.left = PAST + LEASE;
  moved = seen;
  readMoved = (reading == 2);
  oldBehind = divided;
#ifdef NO_RENEW_ALIVE
  stored.state = ALIVE;
#endif
  watched = seen
}

inline reap(s, still, differ) {
  if
  :: s.state == ABSENT -> s.state = DEAD; s.left = PAST + LEASE
  :: s.state == ALIVE && (expired(s) || (still && isPast(s) && sameBeats(differ))) -> s.state = DEAD
  :: else
  fi
}

inline judge(s) {
  if
  :: mayConvict(s) -> convicted = 1; mustNotRely()
  :: else
  fi
}

/* ---- the holder ---- */
active proctype holder() {
end:
  do
  :: d_step { phase == OPENING && !openSent -> openSent = 1 }
  :: d_step { openSent && !opened ->
      opened = 1;
      if
      :: stored.state == ABSENT -> stored.state = ALIVE; stored.left = PAST + LEASE
      :: else
      fi
    }
  :: d_step { phase == OPENING && opened && !asleep ->
      if
      :: stored.state == ALIVE -> phase = RELIES; deadline = relied(openAge)
      :: else -> phase = LOST
      fi;
      openAge = 0;
      mustNotRely()
    }
  :: d_step { phase == RELIES && !asleep && renewal[0].state == NOTHING -> renewal[0].state = SENT }
#ifdef TWO
  :: d_step { phase == RELIES && !asleep && renewal[0].state != NOTHING && renewal[1].state == NOTHING -> renewal[1].state = SENT }
#endif
#ifndef BOUND
  :: d_step { phase == RELIES && !asleep && renewal[0].state == SENT && !copyComes -> copyComes = 1 }
#else
  :: d_step { phase == RELIES -> phase = CRASHED; renewal[0].state = NOTHING; renewal[0].age = 0 }
#endif
  :: d_step { phase == RELIES && !asleep && !inTime -> phase = LOST }
  od
}

#define RENEWAL(n) \
  :: d_step { renewal[n].state == SENT -> \
      if \
      :: renewable -> renew(); renewal[n].state = RENEWED \
      :: else -> renewal[n].state = REFUSED \
      fi \
    } \
  :: d_step { renewal[n].state == RENEWED && !asleep -> \
      if \
      :: phase == RELIES && inTime && relied(renewal[n].age) > deadline -> deadline = relied(renewal[n].age) \
      :: else \
      fi; \
      renewal[n].state = NOTHING; \
      renewal[n].age = 0; \
      mustNotRevive(); \
      mustNotRely() \
    } \
  :: d_step { renewal[n].state == REFUSED && !asleep -> \
      renewal[n].state = NOTHING; \
      renewal[n].age = 0; \
      if \
      :: phase == RELIES -> phase = LOST \
      :: else \
      fi \
    }

active proctype answers() {
end:
  do
  RENEWAL(0)
#ifdef TWO
  RENEWAL(1)
#endif
  :: d_step { copyComes ->
      copyComes = 0;
      if
      :: renewable -> renew()
      :: else
      fi
    }
  od
}

/* ---- the reaper ---- */
/* Nothing can go wrong any more when it has convicted, or the holder knows. */
#define matters (!convicted && phase != LOST)

inline sight(isNew, differ, oldDiffer, age) {
  if
  :: seen && !(isNew)
  :: else -> seen = 1; moved = differ; oldMoved = oldDiffer; seenAge = age
  fi
}

active proctype reaper() {
end:
  do
#ifdef BOUND
  /* it looks every PATROL, when `until` + clockSkewMS is past, and when one lease of unchanged beats is complete */
  :: d_step { opened && !convicted && due == 0 ->
      sight(moved, 0, 0, 0);
#ifdef NO_BEATS
      reap(stored, false, moved);
#else
      reap(stored, stoodStill, moved);
#endif
      judge(stored);
      due = PATROL;
#ifndef NO_PATROL_TIMER
      due = (stored.left + SKEW + 1 > PAST && stored.left + SKEW + 1 - PAST < due -> stored.left + SKEW + 1 - PAST : due);
      due = (seenAge < LEASE && LEASE - seenAge < due -> LEASE - seenAge : due)
#endif
    }
#else
#ifdef NO_SIGHT_FROM_ANSWER
  :: d_step { matters && reading == 0 -> reading = 1 }
#define sentRead 1
#else
#define sentRead 0
#endif
  :: d_step { matters && reading == sentRead && stored.state == ALIVE -> 
      reading = 2;
      readNew = (!seen || moved);
      readMoved = 0;
      readOldMoved = oldBehind
    }
  :: d_step { matters && reading == sentRead && divided && old.state == ALIVE -> 
      reading = 2;
      readNew = (!seen || oldMoved);
      readMoved = oldBehind;
      readOldMoved = 0
    }
  :: d_step { reading == 2 ->
      reading = 0;
#ifdef NO_SIGHT_FROM_ANSWER
      sight(readNew, readMoved, readOldMoved, readAge);
#else
      sight(readNew, readMoved, readOldMoved, 0);
#endif
      readNew = 0;
      readMoved = 0;
      readOldMoved = 0;
      readAge = 0
    }
  :: d_step { matters && openSent -> reap(stored, stoodStill, moved); judge(stored) }
  /* a primary that was voted out can acknowledge nothing */
  :: d_step { matters && divided ->
      reap(old, stoodStill, oldMoved);
#ifdef NO_MAJORITY
      judge(old)
#endif
    }
#endif
  od
}

/* ---- time, elections, hands ---- */
#define grow(a) a = (a < LEASE + 1 -> a + 1 : a)
#define shrink(a) a = (a > 0 -> a - 1 : 0)

inline tick() {
  shrink(stored.left);
  shrink(old.left);
  if
  :: openSent && phase == OPENING -> grow(openAge)
  :: else
  fi;
#ifdef NO_SUSPEND_COUNTED
  if
  :: asleep
  :: else -> shrink(deadline)
  fi;
#else
  shrink(deadline);
#endif
  if
  :: phase == RELIES && deadline == 0 -> lapsed = 1
  :: else
  fi;
  if
  :: renewal[0].state != NOTHING -> grow(renewal[0].age)
  :: else
  fi;
#ifdef TWO
  if
  :: renewal[1].state != NOTHING -> grow(renewal[1].age)
  :: else
  fi;
#endif
#ifdef NO_SIGHT_FROM_ANSWER
  if
  :: reading != 0 -> grow(readAge)
  :: else
  fi;
#endif
  if
  :: seen -> grow(seenAge)
  :: else
  fi;
#ifdef BOUND
  shrink(due);
  must(DEAD_TOO_LONG, !(phase == CRASHED && !convicted && stored.left + SKEW + PATROL + 1 < PAST));
  must(WATCHED_TOO_LONG, !(phase == CRASHED && !convicted && watched && stored.left + 2 * PATROL + 1 < PAST));
#endif
  mustNotRely()
}

#ifdef BOUND
#define mayTick (!opened || convicted || due > 0)
#else
#define mayTick (phase != LOST)
#endif

#define VOTE(difference) \
  divided = 1; \
  old.state = stored.state; \
  old.left = stored.left; \
  oldBehind = 0; \
  oldMoved = moved; \
  readOldMoved = readMoved; \
  stored.left = (stored.left > (difference) -> stored.left - (difference) : 0)

active proctype world() {
  if
  :: slow = 1
  :: fast = 1
  :: skip
  fi;
end:
  do
  :: d_step { mayTick -> tick() }
  :: d_step { suspends > 0 && phase == RELIES -> suspends--; asleep = 1 }
  :: d_step { asleep -> asleep = 0 }
#if ELECTIONS > 0
  :: d_step { elections > 0 && ahead == 0 -> elections--; VOTE(SKEW); ahead = SKEW }
  :: d_step { elections > 0 && ahead != 0 -> elections--; VOTE(-SKEW); ahead = 0 }
  :: d_step { divided -> divided = 0; old.state = ABSENT; old.left = 0; oldBehind = 0; oldMoved = 0; readOldMoved = 0 }
#endif
#if DELETIONS > 0
  :: d_step { deletions > 0 && stored.state == ALIVE -> deletions--; stored.state = ABSENT; stored.left = 0 }
#endif
  od
}
