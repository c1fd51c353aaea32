/* join_file: the one text file that makes a machine a member: "clusterctl node invite" writes it, "clusterctl node
 * join" installs it.
 *
 * YAML with a fixed set of keys; unknown, missing and repeated keys are errors with line and column:
 *
 *   tandem-join: 1
 *   cluster: example-1a2b3c4d
 *   node: campus-1
 *   site: campus
 *   seeds: ["10.1.0.1:7400"]
 *   ca: |            (PEM)
 *   certificate: |   (PEM)
 *   key: |           (PEM; secret)
 *   cluster_key: ... (64 hex digits; secret)
 *
 * The file is a secret: it is written with mode 0600, and one that others can read is refused. */
#ifndef TANDEM_CLI_JOIN_FILE_H
#define TANDEM_CLI_JOIN_FILE_H

#include "cli/pki.h"

#define JOIN_SEEDS_MAX 64

struct join_file {
    struct pki_identity identity;
    struct slice seeds[JOIN_SEEDS_MAX]; /* "10.1.0.1:7400", "[2001:db8::1]:7400", "hq.example:7400" */
    size_t seed_count;                  /* 0 for the first node of a cluster */
};

/* Appends the text. ERR_SYNTAX (a part that could not be read back), ERR_NOMEM. */
MUST_CHECK enum err join_render(const struct join_file *j, struct buf *out, struct err_info *info);
/* ERR_SYNTAX with line and column, ERR_VERSION (tandem-join is not 1), ERR_LIMIT, ERR_NOMEM. Does not check that the
 * parts belong together: pki_check. */
MUST_CHECK enum err join_parse(struct arena *arena, struct slice text, struct join_file *out, struct err_info *info);

/* A new file, mode 0600. ERR_EXISTS, ERR_IO, and those of join_render. */
MUST_CHECK enum err join_write(const struct join_file *j, const char *path, struct err_info *info);
/* Reads, parses and checks (modes, that the parts belong together, validity now). ERR_AUTH, ERR_NOTFOUND, ERR_IO and
 * those of join_parse. */
MUST_CHECK enum err join_read(struct arena *arena, const char *path, struct join_file *out, struct err_info *info);

/* Writes DATA/tls (mode 0700): ca.pem, node.pem, node.key, cluster.key, cluster, seeds, each 0600, all or none; DATA is
 * made when it is missing. As root the files get the owner of DATA, who is the one that runs tandemd. A new certificate
 * for the installed node is taken; another node or cluster is refused with ERR_EXISTS unless forced. Other errors:
 * those of join_read. */
MUST_CHECK enum err join_install(const char *path, const char *data_dir, bool force, struct err_info *info);

/* HOST:PORT with a port of 1 to 65535, printable, an IPv6 address in brackets. */
bool join_seed_valid(struct slice s);

#endif
