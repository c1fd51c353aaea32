/* number: the characters of a plan number, from a dialled user part and through strip and prepend. Declared in
 * pattern.h. It is no dial plan: which rewriting applies is decided elsewhere. */
#include "node/plan/pattern.h"

static bool is_number_char(char c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '*' || c == '#';
}

bool number_valid(struct slice number)
{
    if (number.n == 0 || number.n > LIMIT_NUMBER) return false;
    for (size_t i = 0; i < number.n; i++) {
        if (!is_number_char(number.p[i])) return false;
    }
    return true;
}

static bool is_separator(char c)
{
    return c == '-' || c == '.' || c == '(' || c == ')' || c == ' ';
}

/* The character at *i, with a percent escape resolved: '#' can only travel as %23 in a SIP URI (RFC 3261 §25.1). */
static enum err next_char(struct slice s, size_t *i, char *c)
{
    *c = s.p[(*i)++];
    if (*c != '%') return ERR_OK;
    if (s.n - *i < 2) return ERR_SYNTAX;
    enum err e = hex_decode((struct slice){s.p + *i, 2}, c, 1);
    *i += 2;
    return e;
}

enum err number_normalise(struct slice dialled, char out[LIMIT_NUMBER + 1], size_t *len)
{
    size_t n = 0;
    struct slice user;
    (void)slice_cut(dialled, ';', &user);
    for (size_t i = 0; i < user.n;) {
        char c = 0;
        enum err e = next_char(user, &i, &c);
        if (e != ERR_OK) return e;
        if (is_separator(c)) continue;
        if (!is_number_char(c)) return ERR_SYNTAX;
        if (n == LIMIT_NUMBER) return ERR_LIMIT;
        out[n++] = c;
    }
    if (n == 0) return ERR_SYNTAX;
    out[n] = '\0';
    *len = n;
    return ERR_OK;
}

enum err number_rewrite(struct slice number, unsigned strip, struct slice prepend, char out[LIMIT_NUMBER + 1],
                        size_t *len)
{
    size_t gone = strip < number.n ? strip : number.n;
    size_t kept = number.n - gone;
    if (prepend.n > LIMIT_NUMBER || kept > LIMIT_NUMBER - prepend.n) return ERR_LIMIT;
    if (kept > 0) memmove(out + prepend.n, number.p + gone, kept); /* number may be out itself */
    if (prepend.n > 0) memcpy(out, prepend.p, prepend.n);
    *len = prepend.n + kept;
    out[*len] = '\0';
    return ERR_OK;
}
