/* password: a password that a person gives: typed at the terminal, or the first line of a file. Never an argument,
 * since everybody on the machine can read those. */
#ifndef TANDEM_CLI_PASSWORD_H
#define TANDEM_CLI_PASSWORD_H

#include "cli/cli.h"

#define PASSWORD_FILE_MAX 65536
#define PASSWORD_LINE_MAX 4096 /* what a terminal hands over at once */

/* The first line of the file ("-": standard input), without its end. A failure is said. The caller wipes it. */
int password_read_file(struct cli *c, const char *path, struct arena *arena, struct slice *out);

/* Whether somebody can be asked. */
bool password_can_ask(const struct cli *c);
/* Asks twice, without showing what is typed. A signal during that ends the program with the terminal as it was. The
 * caller wipes it. */
int password_ask(struct cli *c, const char *whose, struct arena *arena, struct slice *out);

#endif
