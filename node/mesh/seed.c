/* seed: addresses to begin with. A seed's name is learnt from its hello; its link then becomes the link to that peer.
 *
 * While no peer is linked, the seeds that nobody dials are dialled again every MESH_SEED_RETRY_MS. */
#include <stdio.h>
#include <stdlib.h>

#include "node/mesh/link.h"

static bool dialled(const struct mesh *m, const char *address)
{
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        const struct link *l = CONTAINER_OF(n, struct link, node);
        if (l->state == LINK_PARKED) continue;
        if (strcmp(l->address, address) == 0 || strcmp(l->next_address, address) == 0) return true;
    }
    return false;
}

static enum err seed_dial(struct mesh *m, struct seed *s)
{
    struct link *l;
    s->retry = mono_add_ms(mesh_now(), MESH_SEED_RETRY_MS / 2 + rng_below(&m->rng, MESH_SEED_RETRY_MS));
    enum err err = link_get(m, &l);
    if (err != ERR_OK) return err;
    l->seed = true;
    err = link_dial(l, s->address);
    if (err != ERR_OK) link_park(l, "");
    return err;
}

enum err seed_add(struct mesh *m, const char *address)
{
    char host[LIMIT_HOST + 1];
    char port[6];
    if (strlen(address) > LIMIT_URI || probe_split(address, host, port) != ERR_OK) return ERR_SYNTAX;
    for (struct list_node *n = m->seeds.next; n != &m->seeds; n = n->next) {
        if (strcmp(CONTAINER_OF(n, struct seed, node)->address, address) == 0) return ERR_OK;
    }
    struct seed *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NOMEM;
    (void)snprintf(s->address, sizeof s->address, "%s", address);
    list_append(&m->seeds, &s->node);
    return dialled(m, address) ? ERR_OK : seed_dial(m, s);
}

void seed_tick(struct mesh *m, struct mono now)
{
    if (m->up_count > 0) return;
    for (struct list_node *n = m->seeds.next; n != &m->seeds; n = n->next) {
        struct seed *s = CONTAINER_OF(n, struct seed, node);
        if (!mono_reached(now, s->retry)) continue;
        s->retry = mono_add_ms(now, MESH_SEED_RETRY_MS / 2 + rng_below(&m->rng, MESH_SEED_RETRY_MS));
        /* Without memory the next round tries again. */
        if (!dialled(m, s->address) && seed_dial(m, s) != ERR_OK) return;
    }
}

bool seed_named(struct mesh *m, struct link *l, const struct node_name *name, uint64_t issued)
{
    if (node_name_eq(name, &m->options.self) || mesh_is_evicted(m, name, issued)) return false;
    struct link *other = link_find(m, name);
    if (other != NULL && other->state == LINK_UP) return false;
    if (other != NULL) {
        /* That one has an address that does not answer (yet); ours does. Keep both, use ours. */
        if (other->state != LINK_PARKED && strcmp(other->address, l->address) != 0) {
            (void)snprintf(l->next_address, sizeof l->next_address, "%s", other->address);
        }
        other->seed = true; /* so that parking makes it a free one */
        link_park(other, "");
    }
    l->named = true;
    l->seed = false;
    l->name = *name;
    return true;
}

void seed_free_all(struct mesh *m)
{
    struct list_node *n;
    while ((n = list_pop(&m->seeds)) != NULL)
        free(CONTAINER_OF(n, struct seed, node));
}
