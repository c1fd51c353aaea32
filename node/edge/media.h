/* media: the relay beside this node (rtpengine) through which the media of its calls go, where its site asks for that.
 *
 * Here are the questions to it: one datagram each, asked again until it answers or is given up, and whether it is there
 * at all. What is asked for which message is proxy_media.c's matter. All on the loop thread. */
#ifndef TANDEM_EDGE_MEDIA_H
#define TANDEM_EDGE_MEDIA_H

#include "node/edge/edge_internal.h"
#include "node/sip/ng.h"

#define MEDIA_QUESTIONS_MAX 4096 /* at once: more are not asked */
#define MEDIA_PING_MS 10000
#define MEDIA_PING_DOWN_MS 1000

#define MEDIA_COUNTERS(X)                                                                                              \
    X(offers)                                                                                                          \
    X(answers)                                                                                                         \
    X(deletes)                                                                                                         \
    X(pings)                                                                                                           \
    X(repeated)                                                                                                        \
    X(refused)                                                                                                         \
    X(silences)                                                                                                        \
    X(unsent)                                                                                                          \
    X(too_many)                                                                                                        \
    X(bad_replies)                                                                                                     \
    X(late_replies)                                                                                                    \
    X(requests_refused)                                                                                                \
    X(passed_as_they_came)                                                                                             \
    X(unreadable)                                                                                                      \
    X(no_memory)

#define MEDIA_COUNTER_ENUM(id) MC_##id,
enum media_counter { MEDIA_COUNTERS(MEDIA_COUNTER_ENUM) MC_COUNT };

MUST_CHECK enum err media_new(struct edge *e, struct media **out);
/* ERR_SYNTAX: the relay is no address; ERR_IO: no way there. Without a relay in the options nothing is opened. */
MUST_CHECK enum err media_start(struct media *m, struct err_info *info);
/* What waits for an answer is forgotten without a word. closed is called when its handle is closed; not when it was
 * never started: returns whether it will be. */
bool media_close(struct media *m, uv_close_cb closed);
void media_free(struct media *m); /* NULL allowed */
const struct counter_table *media_counters(const struct media *m);
void media_count(struct media *m, enum media_counter which);
void media_timer(struct sip_timer *timer);

/* Whether calls are led through the relay. */
bool media_leads(const struct media *m);
/* ERR_OK: text is the session description with the relay's addresses. ERR_SYNTAX: the relay cannot read that one, in
 * its words; ERR_REFUSED: it does not do it, for reasons of its own (no port is free). ERR_TIMEOUT: it does not answer.
 * Valid for the call. */
typedef void media_done(void *ctx, enum err err, struct slice text);
/* NG_OFFER or NG_ANSWER; the cookie is set here. done is called once, later, from the loop, unless the edge closes.
 * ERR_UNREACHABLE: the relay is known not to answer, ERR_LIMIT, ERR_NOMEM: it is not called. */
MUST_CHECK enum err media_ask(struct media *m, const struct ng_request *r, media_done *done, void *ctx);
/* The call is over: the relay gives its ports free, now or, where this is lost, when it has been silent for long. */
void media_end(struct media *m, struct slice call_id, struct slice from_tag);

#endif
