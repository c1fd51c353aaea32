/* types: names, stamps and their order. The order of stamps decides which change wins an object, on every node alike,
 * so it must be total: two stamps are equal only when they are the same change. */
#include "node/repl/types.h"

#include "node/repl/message.h"

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

enum err node_name_set(struct node_name *n, struct slice text)
{
    if (text.n == 0 || text.n > LIMIT_NAME) return ERR_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        if (!name_char(text.p[i])) return ERR_SYNTAX;
    }
    *n = (struct node_name){{0}};
    memcpy(n->s, text.p, text.n);
    return ERR_OK;
}

bool node_name_valid(const struct node_name *n)
{
    size_t len = 0;
    while (len <= LIMIT_NAME && name_char(n->s[len]))
        len++;
    if (len == 0 || len > LIMIT_NAME) return false;
    for (size_t i = len; i <= LIMIT_NAME; i++) {
        if (n->s[i] != '\0') return false;
    }
    return true;
}

int stamp_cmp(const struct stamp *a, const struct stamp *b)
{
    if (a->time.v != b->time.v) return a->time.v < b->time.v ? -1 : 1;
    int order = memcmp(&a->origin, &b->origin, sizeof a->origin);
    return order != 0 ? order : (a->epoch > b->epoch) - (a->epoch < b->epoch);
}

const char *member_status_name(enum member_status s)
{
    switch (s) {
    case MEMBER_ALIVE: return "alive";
    case MEMBER_SUSPECT: return "suspect";
    case MEMBER_DEAD: return "dead";
    case MEMBER_LEFT: return "left";
    case MEMBER_EVICTED: return "evicted";
    }
    return "unknown";
}
