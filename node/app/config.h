/* config: the small YAML file of one node: who it is, where it listens, where its data lives. No plan data.
 *
 * Strict: an unknown key, a wrong type or a bad value is one error with line and column that says what to write
 * instead. Specification: README.md "The configuration of a node". */
#ifndef TANDEM_APP_CONFIG_H
#define TANDEM_APP_CONFIG_H

#include "node/base/bytes.h"
#include "node/base/log.h"

#define CONFIG_LISTEN_MAX 16
#define CONFIG_SEEDS_MAX 64
#define CONFIG_CALLS_KEEP_MS (UINT64_C(30) * 86400000)
#define CONFIG_CALLS_MAX 1000000
#define CONFIG_CALLS_IDLE_MS (UINT64_C(12) * 3600000)

struct config {
    const char *node;
    const char *site;
    const char *cluster; /* "" when the file does not name it */
    const char *data;
    const char *sip_listen[CONFIG_LISTEN_MAX];
    size_t sip_listen_count;
    const char *sip_advertise;   /* "" : the listener's own address */
    const char *sip_certificate; /* PEM, shown by TLS to all who are no members; NULL: the member's certificate is */
    const char *sip_key;
    uint32_t sip_session_s;     /* refresh interval that calls without one are asked to keep; 0: they are not */
    uint32_t sip_no_answer_ms;  /* a target that gave no response at all is left after this long */
    bool mesh;                  /* false: a node on its own */
    const char *mesh_listen;    /* NULL: does not listen */
    const char *mesh_advertise; /* where it listens unless the file says otherwise; "" when it cannot be dialled */
    const char *seeds[CONFIG_SEEDS_MAX];
    size_t seed_count;
    const char *control;
    const char *http;        /* NULL: no metrics page */
    const char *media_relay; /* control address of an rtpengine; NULL: none */
    uint64_t calls_idle_ms;  /* a call without a request in its dialog for so long counts as ended */
    uint64_t calls_keep_ms;  /* how long records of calls are kept, */
    uint64_t calls_max;      /* and how many at most */
    uint64_t history;        /* so many change-sets are kept; 0: the store's default */
    enum log_level log_level;
};

/* Reads and checks text. Everything in out lives in arena. ERR_SYNTAX with line and column, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err config_parse(struct arena *arena, struct slice text, struct config *out, struct err_info *info);

/* The same from a file. ERR_NOTFOUND or ERR_IO when it cannot be read. */
MUST_CHECK enum err config_read(struct arena *arena, const char *path, struct config *out, struct err_info *info);

/* A whole file into the arena, at most max bytes. ERR_NOTFOUND, ERR_IO, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err file_read(struct arena *arena, const char *path, size_t max, struct slice *out,
                              struct err_info *info);

#endif
