/* replica: the part of replication that is easiest to get wrong, as a model that Spin searches in full: tombstones and
 * the floor below which they are dropped, replacement by a snapshot, the new epoch of a node whose disk is old, and
 * what evictions and joins do to all of these. It is the specification of that part for node/repl and store/. It is no
 * model of links, batches, membership by silence, or observed state.
 *
 * check.py runs it in several settings, and breaks each rule once to see that it is caught. By hand, for one mistake:
 *   spin -DBREAK_STRAY -a replica.pml && gcc -w -DSAFETY -o pan pan.c && ./pan; spin -DBREAK_STRAY -t replica.pml
 *
 * ---- Words ----
 *
 * log        the changes of one (origin, epoch), numbered from 1 without a gap.
 * vector     how far each log is held. Here have[n], the set of changes: P4 makes the two the same.
 * stamp      (time, origin, epoch) of a change. The greatest wins an object. Two changes never have the same.
 * clock      a node's hybrid time: not below any time that it holds (but see FAST), nor below its floor.
 * tombstone  what a winning delete leaves of an object.
 * floor      of a replica, a time. Tombstones up to it are gone, so nothing older can be judged any more: every change
 *            up to it is in the cut, and one that is not is refused.
 * cut        the vector that belongs to the floor. The part of the logs inside it need not be kept, and is not sent.
 * stray      a change up to some replica's floor that is not in that replica's cut. The floor is raised so that there
 *            are none; a node with an old disk and a clock behind can still make one, and so can an evicted node.
 * whole      is a node that knows all that it ever wrote: its disk was never old; or since it was, every member has
 *            said that it has nothing of this node's logs that this node lacks.
 * in step    d is in step with n if n heard, while its own vector, members and evictions were what they are now, that
 *            d's are the same, that d is whole, and that d's clock has passed every time in the vector.
 *
 * ---- The protocol ----
 *
 * 1 Writing. A node gives its change the next number of its log and a time above its clock. A new node writes nothing
 *   before it has met a member.
 * 2 Taking. A node takes a change from the log of any other that has it, when it is the next of its log there. One up
 *   to the taker's own floor is refused: whoever holds it will be replaced (6).
 * 3 Raising the floor. A whole node that has a tombstone, and with which all members are in step that are not evicted,
 *   makes the time of its newest tombstone its floor and its vector the cut, and drops the tombstones up to there. That
 *   everybody has the tombstone would not do: an older put of another origin may still be under way, and would bring
 *   the object back where the tombstone is gone.
 * 4 Adopting a floor. A node that hears of a higher floor, has all of its cut and no stray, makes it its own.
 * 5 Members and evictions spread by themselves. An eviction is final; where one side knows of it, the two do not speak.
 * 6 Replacing. A node that hears of a floor that is not below its own, and lacks a part of that cut or has a stray,
 *   fetches a snapshot and puts it in the place of its objects, floor, cut and vector. Nothing is merged: what it has
 *   and the snapshot lacks was deleted. The changes that it has above the donor's vector it keeps, and applies again;
 *   but a log in which one of these is a stray loses all of them. They belong into the list of conflicts, with an
 *   alarm. It remains who it is: epoch, clock, members and evictions are not taken from the donor.
 * 7 The snapshot comes in pieces, each read from the donor's replica of the moment; the donor remembers nothing. The
 *   asker puts them aside, adds what the donor's log has above the vector of the first piece, and then changes over in
 *   one transaction, to the vector of the last. If the donor's floor moved in between, or either side restarted, it
 *   begins again. Whether and what is to be replaced is decided at the end, by what holds then.
 * 8 Epochs. A node starts a new epoch, one that no life of it can have used, when it meets a change of its own, of its
 *   epoch or a later one, that it does not have; when it loses changes of its own epoch by 6; and when, after a
 *   restart, it is to write before every member, the evicted included, has said that it knows no more of its logs.
 * 9 The first words between two nodes after a restart carry the clock, which the hearer follows.
 *
 * ---- What is left out ----
 *
 * Messages: a step of a reads d's replica as it is. Slow and lost ones are steps that come late or never; what was
 * heard long ago is remembered (step, met, spoken). One kind is excluded, and the links must exclude it: a push of a
 * node's earlier life that is stored after its receiver has told the new life what it has (BREAK_LATE shows the harm).
 * A change has one operation. A plain restart is a restore of the newest state. Clocks tell no real time, so nothing is
 * assumed of a restored node's clock: its changes come next to what it remembers, or some time later. With FAST, one
 * change lies in the future of all others, who do not follow it until their clocks have passed it.
 *
 * ---- What is checked ----
 *
 * After every step, at every node, evicted or not:
 * P1 Nothing deleted is alive where a change that deletes it is in the vector, tombstone or not.
 * P2 What stands at a node follows from its vector and floor alone: the greatest stamp among the changes of the vector;
 *    or nothing, if that is a delete up to the floor. So equal vectors are equal plans, and with equal floors equal
 *    replicas.
 * P3 A replica loses a change only with its disk, or by 6 and only if: it is of an epoch that a restored node began
 *    before it had met all others; or only the evicted had it when all others knew of the eviction; or the loser is the
 *    evicted.
 * P4 No number stands for two changes.
 *
 * When nobody writes any more and nothing fails any more:
 * P5 The system comes to rest (there is no cycle), and then all members have the same vector, floor and objects, and no
 *    tombstone. With P2 and P3: each accepted change is at every member, present or overridden.
 *
 * ---- Bounds ----
 *
 * Three nodes. One object, or two, the first of which all know at the start (change 1). CHANGES - 1 more changes by any
 * node at any moment; one disk that is replaced by its backup of any earlier moment, or by an empty one (WIPED). One
 * eviction by any other node. One node that joins (JOINER), with neither of these. One snapshot at a time. */

#define NODES 3
#define ALL 7 /* the set of all nodes */

#ifndef CHANGES
#define CHANGES 3
#endif
#ifndef OBJECTS
#define OBJECTS 1
#endif
#ifndef RESTORES /* how many times the disk of OLD_DISK is replaced by its backup */
#define RESTORES 1
#endif
#ifndef OLD_DISK
#define OLD_DISK 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 0
#endif
#ifndef EVICTED
#define EVICTED 1
#endif
#ifndef FIRST /* who wrote the first change */
#define FIRST 1
#endif
#ifdef DELETES /* the set of the changes that are deletes; else any may be */
#define KIND(c, del) ((del) == (((DELETES) >> (c)) & 1))
#else
#define KIND(c, del) true
#endif
#ifdef JOINER /* this node is new: nobody knows it yet */
#define JOINED(n) (met[n] != 0)
#else
#define JOINED(n) true
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#define LOGS (NODES * EPOCHS)
#define NOBODY NODES

#define BIT(x) (1 << (x))

/* ---- changes ---- */

/* Numbered in the order in which they were written; 0 is none. What a change says never alters. */
byte made;
byte c_log[CHANGES + 1]; /* LOG(origin, epoch) */
byte c_seq[CHANGES + 1];
byte c_time[CHANGES + 1];
byte c_object[CHANGES + 1];
bool c_delete[CHANGES + 1];
byte of_log[LOGS]; /* the changes of each log, as a set */

#define LOG(origin, epoch) ((origin) * EPOCHS + (epoch))
#define ORIGIN(c) (c_log[c] / EPOCHS)
#ifdef BREAK_STAMP /* two lives of one origin may make the same stamp */
#define STAMP(c) (c_time[c] * LOGS + ORIGIN(c))
#else
#define STAMP(c) (c_time[c] * LOGS + c_log[c])
#endif

#define UP_TO(c, time) ((c_time[c] <= (time)) << (c))
#define IS_IN(c, set) (((set) >> (c)) & 1)
#if CHANGES == 3
#define UNTIL(time) (UP_TO(1, time) | UP_TO(2, time) | UP_TO(3, time))
#define COUNT(set) (IS_IN(1, set) + IS_IN(2, set) + IS_IN(3, set))
#elif CHANGES == 4
#define UNTIL(time) (UP_TO(1, time) | UP_TO(2, time) | UP_TO(3, time) | UP_TO(4, time))
#define COUNT(set) (IS_IN(1, set) + IS_IN(2, set) + IS_IN(3, set) + IS_IN(4, set))
#elif CHANGES == 5
#define UNTIL(time) (UP_TO(1, time) | UP_TO(2, time) | UP_TO(3, time) | UP_TO(4, time) | UP_TO(5, time))
#define COUNT(set) (IS_IN(1, set) + IS_IN(2, set) + IS_IN(3, set) + IS_IN(4, set) + IS_IN(5, set))
#endif

/* ---- a node ---- */

/* durable: one disk */
byte have[NODES];             /* the vector, as a set of changes */
byte object[NODES * OBJECTS]; /* the change that won it, put or delete; 0: nothing */
byte floor[NODES];
byte cut[NODES];
byte gone[NODES];  /* whom it knows to be evicted, as a set of nodes */
byte known[NODES]; /* whom it knows to be, or to have been, a member */
byte epoch[NODES];

/* memory */
bool sure[NODES];   /* the next number of its log is free */
byte met[NODES];    /* with whom it has spoken since the start */
byte spoken[NODES]; /* of those: who has nothing of its logs that it does not have */
byte heard[NODES];  /* the highest clock that a first word brought */
byte step[NODES];   /* who is in step with it */

#define AT(n, o) ((n) * OBJECTS + (o))
#define IS_TOMBSTONE(x) (object[x] && c_delete[object[x]])
#if OBJECTS == 1
#define HAS_TOMBSTONE(n) IS_TOMBSTONE(n)
#else
#define HAS_TOMBSTONE(n) (IS_TOMBSTONE(AT(n, 0)) || IS_TOMBSTONE(AT(n, 1)))
#endif
#define HIGH(n, log) COUNT(have[n] & of_log[log])
#define FROM(n, e, from) (((e) >= (from)) * of_log[LOG(n, e)])
#if EPOCHS == 3
#define OWN_LOGS_FROM(n, from) (FROM(n, 0, from) | FROM(n, 1, from) | FROM(n, 2, from))
#elif EPOCHS == 5
#define OWN_LOGS_FROM(n, from) \
    (FROM(n, 0, from) | FROM(n, 1, from) | FROM(n, 2, from) | FROM(n, 3, from) | FROM(n, 4, from))
#endif
#define WHOLE(n) ((spoken[n] | gone[n] | BIT(n)) == ALL)

/* ---- a snapshot under way: one at a time, put aside by the asker ---- */
byte s_asker = NOBODY;
byte s_donor;
byte s_have;
byte s_floor;
byte s_object[OBJECTS];

/* ---- the backup of OLD_DISK ---- */
bool b_taken;
byte b_have;
byte b_object[OBJECTS];
byte b_floor;
byte b_cut;
byte b_gone;
byte b_epoch;

/* ---- what only the checks know ---- */
byte restores;
byte evictions;
byte last_epoch[NODES]; /* that any life of the node used */
int hasty;              /* logs that began before their restored origin had met everybody */
bool settled;           /* the eviction is known to all others */
byte orphans;           /* changes that only the evicted node had then, or wrote later */

/* Never true: they name in Spin's message the property that an assertion belongs to. */
hidden byte p1_deleted_returns;
hidden byte p2_not_of_its_vector;
hidden byte p3_change_lost;
hidden byte p4_number_reused;
hidden byte p5_not_one;

/* With one of these as WITNESS a run that uses the rule must be found: a model that does nothing proves nothing. */
#define RAISES 1    /* 3 */
#define ADOPTS 2    /* 4 */
#define REPLACES 3  /* 6 */
#define KEEPS 4     /* 6: a change above the donor's vector */
#define LOSES 5     /* 6: a log with a stray */
#define GIVES_UP 6  /* 7 */
#define ADDS_TAIL 7 /* 7 */
#define MEETS_OWN 8 /* 8: in the log of another */
#define LEARNS 9    /* 5 */
#define IS_SURE 10  /* 8: goes on in its old epoch */
#define RESTS 11    /* P5 is looked at */
#ifndef WITNESS
#define WITNESS 0
#endif
hidden byte p0_rule_is_used;
#define USE(rule) assert(p0_rule_is_used || rule != WITNESS)

#ifdef FAST
#define FUTURE 3
byte ahead;  /* the change of node FAST that lies in the others' future */
bool passed; /* no longer */
#define FOLLOWED(n, c) ((c) != ahead || passed || (n) == FAST)
#define CLOCK_PASSED(a, d) (!ahead || FOLLOWED(d, ahead) || !(have[a] & BIT(ahead)))
#else
#define FOLLOWED(n, c) true
#define CLOCK_PASSED(a, d) true
#endif

/* ---- the conditions of the rules; each BREAK_ makes one of the mistakes that check.py must see caught ---- */

/* Rules 5 and 9 */
#define MAY_SPEAK(a, d) (!(gone[a] & BIT(d)) && !(gone[d] & BIT(a)))
#define TALK(a, d) (MAY_SPEAK(a, d) && (met[a] & BIT(d)))

/* Rule 2 */
#ifdef KEEP_LOG /* no mistake: the log inside the cut may be kept and sent; then only a stray needs a snapshot */
#define LOG_OF(d) (have[d])
#else
#define LOG_OF(d) (have[d] & ~cut[d])
#endif
#ifdef BREAK_FLOOR_CHECK
#define ABOVE_FLOOR(a, c) true
#else
#define ABOVE_FLOOR(a, c) (c_time[c] > floor[a])
#endif

/* Rule 3 */
#ifdef BREAK_ONLY_TOMBSTONE /* d has the tombstone: is that not enough? */
#define SAME_VECTOR(a, d) (have[d] & BIT(object[a]))
#else
#define SAME_VECTOR(a, d) (have[a] == have[d])
#endif
#ifdef BREAK_EVICTION /* d may still take something from the evicted */
#define SAME_EVICTIONS(a, d) true
#else
#define SAME_EVICTIONS(a, d) (gone[a] == gone[d])
#endif
#ifdef BREAK_JOIN /* d may have brought in a node that writes something older */
#define SAME_MEMBERS(a, d) true
#else
#define SAME_MEMBERS(a, d) (known[a] == known[d])
#endif
#ifdef BREAK_WHOLE /* d may have forgotten what it wrote */
#define COUNTS(d) true
#else
#define COUNTS(d) WHOLE(d)
#endif
#ifdef BREAK_CLOCK /* d may still write something older */
#define PASSED(a, d) true
#else
#define PASSED(a, d) CLOCK_PASSED(a, d)
#endif
#define IN_STEP(a, d) \
    (SAME_VECTOR(a, d) && SAME_EVICTIONS(a, d) && SAME_MEMBERS(a, d) && COUNTS(d) && PASSED(a, d))
#ifdef BREAK_EARLY_DROP /* a majority has it */
#define MAY_RAISE(n) (step[n] != 0)
#else
#define MAY_RAISE(n) (COUNTS(n) && PASSED(n, n) && !(known[n] & ~(step[n] | gone[n] | BIT(n))))
#endif

/* Rules 4 and 6 */
#define MISSES(a, d) (cut[d] & ~have[a])
#ifdef BREAK_STRAY
#define STRAYS(a, d) 0
#else
#define STRAYS(a, d) (have[a] & ~cut[d] & UNTIL(floor[d]))
#endif
#ifdef BREAK_REPLACE
#define BELOW(a, d) false
#elif defined(ANY_TIME) /* no mistake: whoever lacks anything may fetch a snapshot, as one does whose donor's log is short */
#define BELOW(a, d) (floor[d] >= floor[a] && ((have[d] & ~have[a]) || STRAYS(a, d)))
#elif defined(KEEP_LOG)
#define BELOW(a, d) (floor[d] >= floor[a] && STRAYS(a, d))
#else
#define BELOW(a, d) (floor[d] >= floor[a] && (MISSES(a, d) || STRAYS(a, d)))
#endif

/* Rule 7 */
#ifdef BREAK_FLOOR_MOVED
#define SAME_FLOOR(d) true
#elif defined(BREAK_REST) /* begins again without a reason */
#define SAME_FLOOR(d) false
#else
#define SAME_FLOOR(d) (floor[d] == s_floor)
#endif

/* Rule 8 */
#define NEWER_OWN(n, set) ((set) & OWN_LOGS_FROM(n, epoch[n]))
#ifdef BREAK_SPOKEN /* nobody asks the evicted */
#define ALL_SPOKE(n) ((spoken[n] | gone[n] | BIT(n)) == ALL)
#else
#define ALL_SPOKE(n) ((spoken[n] | BIT(n)) == ALL)
#endif

/* Scratch: not part of the state, since each step that uses it is one d_step. Spin allows no loop at the end of a
 * d_step, so where one would be the last thing, its variable is reset. */
hidden byte id;
hidden byte ob;
hidden byte lg;
hidden byte seq;
hidden byte win;
hidden byte keep;
hidden byte lost;
hidden byte moment;

/* The greater stamp wins the slot. With equal stamps, which cannot be, the later comer. */
inline apply(c, slot)
{
    if
    :: slot == 0 || STAMP(c) >= STAMP(slot) -> slot = c
    :: else
    fi
}

inline drop_tombstones(n)
{
    for (ob : 0 .. OBJECTS - 1) {
        if
        :: IS_TOMBSTONE(AT(n, ob)) && c_time[object[AT(n, ob)]] <= floor[n] -> object[AT(n, ob)] = 0
        :: else
        fi
    }
    ob = 0
}

/* P1, P2 */
inline check_replica(n)
{
    for (ob : 0 .. OBJECTS - 1) {
        win = 0;
        for (id : 1 .. CHANGES) {
            if
            :: (have[n] & BIT(id)) && c_object[id] == ob -> apply(id, win)
            :: else
            fi
        }
        assert(p1_deleted_returns || !object[AT(n, ob)] || IS_TOMBSTONE(AT(n, ob)) || (win && !c_delete[win]));
        if
        :: win && c_delete[win] && c_time[win] <= floor[n] -> win = 0
        :: else
        fi;
        assert(p2_not_of_its_vector || object[AT(n, ob)] == win)
    }
    ob = 0
}

/* P4: nobody has another change of c's number, on its disk or in its backup. */
inline check_number(c)
{
    for (id : 1 .. CHANGES) {
        assert(p4_number_reused || id == c || c_log[id] != c_log[c] || c_seq[id] != c_seq[c] ||
               !((have[0] | have[1] | have[2] | b_have) & BIT(id)))
    }
    id = 0
}

inline read_clock(n, result)
{
    result = (heard[n] > floor[n] -> heard[n] : floor[n]);
    for (id : 1 .. CHANGES) {
        if
        :: (have[n] & BIT(id)) && FOLLOWED(n, id) && c_time[id] > result -> result = c_time[id]
        :: else
        fi
    }
    id = 0
}

/* Rule 8. The wall clock, or chance, makes an epoch that no earlier life has used. */
inline new_epoch(n)
{
#ifdef BREAK_EPOCH_COUNTED
    epoch[n]++;
#elif !defined(BREAK_NEW_EPOCH)
    last_epoch[n]++;
    epoch[n] = last_epoch[n];
#endif
    assert(epoch[n] < EPOCHS);
    printf("node %d starts epoch %d\n", n, epoch[n]);
    sure[n] = true
}

inline forget_snapshot()
{
    s_asker = NOBODY;
    s_donor = 0;
    s_have = 0;
    s_floor = 0;
    for (ob : 0 .. OBJECTS - 1) {
        s_object[ob] = 0
    }
    ob = 0
}

/* ---- what a node does by itself ---- */

/* Rule 1. A delete needs something to delete. after: how far above its clock; condition: when that may be. */
inline write(n, o, del, after, condition)
{
    d_step {
        made < CHANGES && (condition) && JOINED(n) && KIND(made + 1, del) &&
            (!del || (object[AT(n, o)] && !IS_TOMBSTONE(AT(n, o)))) ->
        if
        :: !sure[n] -> new_epoch(n)
        :: else
        fi;
        read_clock(n, moment);
        lg = LOG(n, epoch[n]);
        seq = HIGH(n, lg) + 1;
        if
        :: restores && seq == 1 && (met[n] | BIT(n)) != ALL -> hasty = hasty | BIT(lg)
        :: else
        fi;
        made++;
        if
        :: settled && n == EVICTED -> orphans = orphans | BIT(made)
        :: else
        fi;
        c_log[made] = lg;
        c_seq[made] = seq;
        c_time[made] = moment + after;
        c_object[made] = o;
        c_delete[made] = del;
#ifdef FAST
        if
        :: (after) == FUTURE -> ahead = made
        :: else
        fi;
#endif
        printf("node %d writes change %d: object %d, delete %d, time %d, number %d of epoch %d\n", n, made, o, del,
               c_time[made], seq, epoch[n]);
        check_number(made);
        of_log[lg] = of_log[lg] | BIT(made);
        have[n] = have[n] | BIT(made);
        step[n] = 0;
        apply(made, object[AT(n, o)]);
        check_replica(n)
    }
}

proctype node(byte n)
{
end:
    do
    :: write(n, 0, false, 1, true)
    :: write(n, 0, true, 1, true)
    :: write(n, 0, false, 3, n == OLD_DISK && restores)
#if OBJECTS > 1
    :: write(n, 1, false, 1, true)
    :: write(n, 1, true, 1, true)
#endif
#ifdef FAST
    :: write(n, 0, true, FUTURE, n == FAST && !ahead)
#endif

    /* Rule 3 */
    :: d_step {
        HAS_TOMBSTONE(n) && MAY_RAISE(n) ->
        for (ob : 0 .. OBJECTS - 1) {
            if
            :: IS_TOMBSTONE(AT(n, ob)) && c_time[object[AT(n, ob)]] > floor[n] -> floor[n] = c_time[object[AT(n, ob)]]
            :: else
            fi
        }
        cut[n] = have[n];
        step[n] = 0;
        USE(RAISES);
        printf("node %d raises its floor to %d\n", n, floor[n]);
        drop_tombstones(n);
        check_replica(n)
    }
    od
}

/* ---- what node a does when it hears node d ---- */

/* Rule 2 */
inline take(a, d, c)
{
    d_step {
        TALK(a, d) && (LOG_OF(d) & ~have[a] & BIT(c)) && c_seq[c] == HIGH(a, c_log[c]) + 1 && ABOVE_FLOOR(a, c) ->
        if
        :: NEWER_OWN(a, BIT(c)) -> new_epoch(a)
        :: else
        fi;
        have[a] = have[a] | BIT(c);
        step[a] = 0;
        printf("node %d takes change %d from %d\n", a, c, d);
        check_number(c);
        apply(c, object[AT(a, c_object[c])]);
        check_replica(a)
    }
}

/* Rules 6 and 7: the last piece is here. */
inline replace(a, d)
{
    /* what was put aside becomes the donor's present replica */
    for (id : 1 .. CHANGES) {
        if
#ifndef BREAK_TAIL
        :: LOG_OF(d) & ~s_have & BIT(id) ->
            USE(ADDS_TAIL);
            apply(id, s_object[c_object[id]])
#endif
        :: else
        fi
    }
    /* what we have above it: kept, but for the logs with a stray */
    keep = have[a] & ~have[d];
    lost = 0;
    for (lg : 0 .. LOGS - 1) {
        if
        :: keep & of_log[lg] & UNTIL(floor[d]) ->
            lost = lost | (keep & of_log[lg]);
            keep = keep & ~of_log[lg]
        :: else
        fi
    }
    assert(!(keep & cut[a])); /* it is still in our log */
    if
    :: keep -> USE(KEEPS)
    :: else
    fi;
    if
    :: lost -> USE(LOSES)
    :: else
    fi;
    for (id : 1 .. CHANGES) {
        assert(p3_change_lost || !(lost & BIT(id)) || (hasty & BIT(c_log[id])) || (orphans & BIT(id)) ||
               (a == EVICTED && evictions));
        if
        :: keep & BIT(id) -> apply(id, s_object[c_object[id]])
        :: else
        fi
    }
    if
    :: NEWER_OWN(a, have[d] & ~have[a]) -> new_epoch(a)
#ifndef BREAK_LOST_OWN
    :: NEWER_OWN(a, lost) -> new_epoch(a)
#endif
    :: else
    fi;
    printf("node %d is replaced by %d, at floor %d\n", a, d, floor[d]);
    USE(REPLACES);
    for (ob : 0 .. OBJECTS - 1) {
#ifdef BREAK_MERGE
        if
        :: s_object[ob] -> apply(s_object[ob], object[AT(a, ob)])
        :: else
        fi
#elif defined(BREAK_VECTOR_FIRST)
        object[AT(a, ob)] = object[AT(d, ob)]
#else
        object[AT(a, ob)] = s_object[ob]
#endif
    }
#ifdef BREAK_VECTOR_FIRST
    have[a] = s_have | keep;
#else
    have[a] = have[d] | keep;
#endif
    floor[a] = floor[d];
    cut[a] = cut[d];
    step[a] = 0;
    forget_snapshot();
    drop_tombstones(a);
    check_replica(a)
}

proctype hears(byte a; byte d)
{
end:
    do
    /* Rule 9 */
    :: d_step {
        MAY_SPEAK(a, d) && !(met[a] & BIT(d)) ->
        met[a] = met[a] | BIT(d);
#ifdef JOINER
        known[d] = known[d] | BIT(a); /* a said hello first */
        known[a] = known[a] | known[d];
        step[a] = 0;
        step[d] = 0;
#endif
#ifndef BREAK_DEAF
        read_clock(d, moment);
        heard[a] = (moment > heard[a] -> moment : heard[a]);
#endif
        printf("node %d meets %d\n", a, d)
    }
#ifdef JOINER
    /* Rule 5 */
    :: d_step {
        TALK(a, d) && (known[d] & ~known[a]) ->
        known[a] = known[a] | known[d];
        step[a] = 0;
        printf("node %d learns of %d from %d\n", a, JOINER, d)
    }
#endif
    :: d_step {
        TALK(a, d) && (gone[d] & ~gone[a]) ->
        gone[a] = gone[a] | gone[d];
        step[a] = 0;
        printf("node %d learns of the eviction from %d\n", a, d);
        USE(LEARNS);
        settled = true; /* with three nodes these two are all that remain */
        for (id : 1 .. made) {
            if
            :: ORIGIN(id) == EVICTED && !((have[a] | have[d]) & BIT(id)) -> orphans = orphans | BIT(id)
            :: else
            fi
        }
        id = 0
    }
    /* Rule 8 */
    :: d_step {
        TALK(a, d) && NEWER_OWN(a, have[d] & ~have[a]) ->
        USE(MEETS_OWN);
        new_epoch(a)
    }
    :: d_step {
        TALK(a, d) && !(spoken[a] & BIT(d)) && !(have[d] & ~have[a] & OWN_LOGS_FROM(a, 0)) ->
        spoken[a] = spoken[a] | BIT(d);
        printf("node %d hears from %d that its log is complete\n", a, d);
        if
        :: ALL_SPOKE(a) ->
            USE(IS_SURE);
            sure[a] = true
        :: else
        fi
    }
    /* Rule 3: d in step with a. It matters only while there is a tombstone. */
    :: d_step {
        TALK(a, d) && !(step[a] & BIT(d)) && HAS_TOMBSTONE(a) && IN_STEP(a, d) ->
        step[a] = step[a] | BIT(d)
    }
    /* Rule 4 */
    :: d_step {
        TALK(a, d) && floor[d] > floor[a] && !MISSES(a, d) && !STRAYS(a, d) ->
        floor[a] = floor[d];
        cut[a] = cut[a] | cut[d];
        USE(ADOPTS);
        printf("node %d adopts the floor %d from %d\n", a, floor[a], d);
        drop_tombstones(a);
        check_replica(a)
    }
    /* Rule 6 */
    :: d_step {
        s_asker == NOBODY && TALK(a, d) && BELOW(a, d) ->
        s_asker = a;
        s_donor = d;
        s_have = have[d];
        s_floor = floor[d];
        for (ob : 0 .. OBJECTS - 1) {
            s_object[ob] = object[AT(d, ob)]
        }
        printf("node %d begins a snapshot of %d\n", a, d)
    }
    :: d_step {
        s_asker == a && s_donor == d && !(TALK(a, d) && BELOW(a, d) && SAME_FLOOR(d)) ->
        printf("node %d gives up the snapshot of %d\n", a, d);
        USE(GIVES_UP);
        forget_snapshot()
    }
    :: d_step {
        s_asker == a && s_donor == d && TALK(a, d) && BELOW(a, d) && SAME_FLOOR(d) ->
        replace(a, d)
    }
    :: take(a, d, 1)
    :: take(a, d, 2)
    :: take(a, d, 3)
#if CHANGES > 3
    :: take(a, d, 4)
#endif
#if CHANGES > 4
    :: take(a, d, 5)
#endif
    od
}

/* ---- faults ---- */

inline forget_backup()
{
    b_have = 0;
    b_floor = 0;
    b_cut = 0;
    b_gone = 0;
    b_epoch = 0;
    for (ob : 0 .. OBJECTS - 1) {
        b_object[ob] = 0
    }
    ob = 0
}

#ifdef BREAK_LATE
#define OTHER(i) ((OLD_DISK + (i)) % NODES)
byte late; /* a change that the restored node lost, and that was on its way to the others */

inline late_push(n)
{
    d_step {
        late && !(have[n] & BIT(late)) && c_seq[late] == HIGH(n, c_log[late]) + 1 && ABOVE_FLOOR(n, late) ->
        have[n] = have[n] | BIT(late);
        step[n] = 0;
        printf("node %d stores the late change %d\n", n, late);
        check_number(late);
        apply(late, object[AT(n, c_object[late])]);
        check_replica(n)
    }
}
#endif

proctype disk()
{
end:
    do
#ifndef WIPED
    :: d_step {
        !b_taken && RESTORES > 0 ->
        b_taken = true;
        b_have = have[OLD_DISK];
        b_floor = floor[OLD_DISK];
        b_cut = cut[OLD_DISK];
        b_gone = gone[OLD_DISK];
        b_epoch = epoch[OLD_DISK];
        for (ob : 0 .. OBJECTS - 1) {
            b_object[ob] = object[AT(OLD_DISK, ob)]
        }
        printf("backup of node %d\n", OLD_DISK)
    }
#endif
    :: d_step {
        b_taken && restores < RESTORES ->
        restores++;
        printf("node %d is restored from its backup\n", OLD_DISK);
#ifdef BREAK_LATE
        for (id : 1 .. made) {
            if
            :: have[OLD_DISK] & ~(have[OTHER(1)] | have[OTHER(2)] | b_have) & BIT(id) -> late = id
            :: else
            fi
        }
#endif
        have[OLD_DISK] = b_have;
        floor[OLD_DISK] = b_floor;
        cut[OLD_DISK] = b_cut;
        gone[OLD_DISK] = b_gone;
        epoch[OLD_DISK] = b_epoch;
        for (ob : 0 .. OBJECTS - 1) {
            object[AT(OLD_DISK, ob)] = b_object[ob]
        }
        sure[OLD_DISK] = false;
        met[OLD_DISK] = 0;
        spoken[OLD_DISK] = 0;
        heard[OLD_DISK] = 0;
        step[OLD_DISK] = 0;
        if
        :: s_asker == OLD_DISK || s_donor == OLD_DISK -> forget_snapshot()
        :: else
        fi;
        if
        :: restores == RESTORES -> forget_backup()
        :: else
        fi
    }
#ifdef BREAK_LATE
    :: late_push(OTHER(1))
    :: late_push(OTHER(2))
#endif
    od
}

inline evict(n)
{
    d_step {
        n != EVICTED && evictions < EVICTIONS ->
        evictions++;
        gone[n] = gone[n] | BIT(EVICTED);
        step[n] = 0;
        printf("node %d evicts %d\n", n, EVICTED)
    }
}

/* ---- P5 ---- */

inline check_equal(n, m)
{
    if
    :: !((gone[0] | gone[1] | gone[2]) & (BIT(n) | BIT(m))) ->
        assert(p5_not_one || have[n] == have[m]);
        assert(p5_not_one || floor[n] == floor[m]);
        for (ob : 0 .. OBJECTS - 1) {
            assert(p5_not_one || object[AT(n, ob)] == object[AT(m, ob)]);
            assert(p5_not_one || !IS_TOMBSTONE(AT(n, ob)))
        }
    :: else
    fi
}

init
{
    d_step {
        made = 1;
        c_log[1] = LOG(FIRST, 0);
        c_seq[1] = 1;
        c_time[1] = 1;
        of_log[LOG(FIRST, 0)] = BIT(1);
        for (id : 0 .. NODES - 1) {
            sure[id] = true;
            spoken[id] = ALL;
#ifdef JOINER
            if
            :: id == JOINER -> known[id] = BIT(id)
            :: else ->
                have[id] = BIT(1);
                object[AT(id, 0)] = 1;
                known[id] = ALL & ~BIT(JOINER);
                met[id] = ALL & ~BIT(JOINER)
            fi
#else
            have[id] = BIT(1);
            object[AT(id, 0)] = 1;
            known[id] = ALL;
            met[id] = ALL
#endif
        }
#ifdef WIPED
        b_taken = true
#endif
    }
    atomic {
        run node(0);
        run node(1);
        run node(2);
        run hears(0, 1);
        run hears(0, 2);
        run hears(1, 0);
        run hears(1, 2);
        run hears(2, 0);
        run hears(2, 1);
        run disk()
    }
end:
    do
    :: evict(0)
    :: evict(1)
    :: evict(2)
#ifdef FAST
    :: d_step { ahead && !passed -> passed = true }
#endif
    :: timeout -> break
    od;
    atomic {
        check_equal(0, 1);
        check_equal(0, 2);
        check_equal(1, 2);
        assert(p5_not_one || s_asker == NOBODY);
        USE(RESTS)
    }
}
