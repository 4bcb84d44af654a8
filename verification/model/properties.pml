/*
 * What must hold. Each assertion carries the number of its property, which run.mjs finds in Spin's answer and reads here:
 * a number below, then its words.
 */
#define must(property, condition) assert((condition) || (property) == 0)

#define TWO_HOLDERS 1001         /* INV-01: two holders */
#define DEAD_WHILE_RELIED 1002   /* INV-01: declared dead while it relies on its locks */
#define TOKEN_FALLS 1003         /* INV-02: a token that does not rise */
#define OUT_OF_ORDER 1004        /* INV-03: served before one who had arrived */
#define VACANT_THOUGH_AWAITED 1005 /* INV-04: vacant, and somebody waits who has arrived */
#define NEVER_SERVED 1006        /* INV-05: somebody waits for ever */
#define DEAD_TOO_LONG 1007       /* INV-05: a dead holder costs more than its lease, the clock skew and one patrol */
#define WATCHED_TOO_LONG 1008    /* INV-05: a dead holder that was watched costs more than its lease and two patrols */
#define SERVED_TOO_LATE 1009     /* INV-06: served after its deadline */
#define LOST_THOUGH_IT_STANDS 1010 /* INV-06: lost, although it stands */
#define NEVER_LOST 1011          /* INV-06: what stands no more is never lost */
#define RELIED_ON_AGAIN 1012     /* INV-06: relied on again after its deadline */
#define GRANT_LEFT 1013          /* INV-08: a grant is left */
#define TICKET_LEFT 1014         /* INV-08: a ticket is left */

#define TOO_SMALL 2001           /* the model is too small */
#define OTHER_TOKEN 2002         /* the model tells grants apart otherwise than tokens do */
#define OTHER_COUNT 2003         /* the model tells arrivals apart otherwise than their numbers do */
#define OCCURS 3001              /* it occurs */
