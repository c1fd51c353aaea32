/* maps: files of "number,resource id" lines: what a number is called behind a registered gateway, as for the cameras of
 * a platform, whose identities have 20 digits.
 *
 * They lie in DATA/maps of each node where such a gateway may register, and an account names one of them (map:). All
 * that are there are read at the start; later ones and changed ones within MAPS_LOOK_MS, on a worker thread. A file
 * with a fault is taken as a whole or not at all: the earlier version goes on, and the log says file, line and fault.
 *
 *   # comment
 *   8150,34020000001320000001        or ; or a tab in place of the comma; a first line "number,resource" is a heading
 *
 * Bounds: MAPS_ENTRIES of a file, MAPS_FILES, MAPS_BYTES of a file. Loop thread. */
#ifndef TANDEM_APP_MAPS_H
#define TANDEM_APP_MAPS_H

#include "node/base/bytes.h"
#include "node/base/err.h"
#include "node/base/limits.h"

#define MAPS_ENTRIES 100000
#define MAPS_FILES 64
#define MAPS_BYTES 8388608
#define MAPS_RESOURCE 64 /* characters of a resource id */
#define MAPS_LOOK_MS 1000

/* ---- one file's content; no I/O ---- */
struct map_file;
/* text is borrowed for the call. ERR_SYNTAX, ERR_LIMIT with "line N: ..." in info; ERR_NOMEM. */
MUST_CHECK enum err map_file_parse(struct slice text, struct map_file **out, struct err_info *info);
void map_file_free(struct map_file *m); /* NULL allowed */
size_t map_file_count(const struct map_file *m);
/* Borrowed; {NULL, 0}: the number is not in it. */
struct slice map_file_find(const struct map_file *m, struct slice number);

/* ---- those of a node ---- */
struct node;
struct maps;
/* Reads what is there. ERR_NOMEM. */
MUST_CHECK enum err maps_start(struct node *n);
void maps_stop(struct node *n);
void maps_tick(struct node *n); /* once a second: looks for changes */
/* How a number is called in the file of that name. {NULL, 0}: there is no such file here, or none that could be read;
 * the number itself where the file does not have it. Borrowed until the next turn of the loop. */
struct slice maps_resource(const struct node *n, struct slice file, struct slice number);
/* What is known of the file: "cameras.csv: 1200 numbers", or what is wrong with it. */
void maps_state(const struct node *n, struct slice file, char *out, size_t out_size);

#endif
