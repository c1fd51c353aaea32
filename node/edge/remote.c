#include "node/edge/remote.h"

#include "node/sip/scan.h"

#define PORT 5060

static uint64_t hash_of(const struct edge *e, struct slice host, uint16_t port)
{
    char key[LIMIT_HOST + sizeof port];
    if (port == 0) port = PORT;
    if (host.n > 2 && host.p[0] == '[') host = (struct slice){host.p + 1, host.n - 2};
    if (host.n > LIMIT_HOST) host.n = LIMIT_HOST; /* no name is longer */
    for (size_t i = 0; i < host.n; i++)
        key[i] = char_lower(host.p[i]);
    memcpy(key + host.n, &port, sizeof port);
    return map_hash(&e->dialogs.map, (struct slice){key, host.n + sizeof port});
}

static bool has(const struct remote_hosts *side, uint64_t hash)
{
    for (size_t i = 0; i < side->count; i++) {
        if (side->hash[i] == hash) return true;
    }
    return false;
}

bool remote_has(const struct edge *e, const struct remote_hosts *side, struct slice host, uint16_t port)
{
    return has(side, hash_of(e, host, port));
}

static void note(const struct edge *e, struct slice value, struct remote_hosts *side)
{
    struct sip_addr_shape addr;
    struct sip_uri_shape uri;
    if (value.n == 0 || !sip_scan_addr(value, &addr) || !sip_scan_uri(addr.uri, &uri) || !uri.is_sip) return;
    uint64_t hash = hash_of(e, uri.host, uri.port);
    if (has(side, hash)) return;
    side->hash[side->at] = hash;
    side->at = (uint8_t)((side->at + 1) % REMOTE_HOSTS);
    if (side->count < REMOTE_HOSTS) side->count++;
}

/* Of a request the topmost one: ours is not there yet. Of a response the one above ours. */
static struct slice next_to_us(const struct edge *e, const struct sip_view *v)
{
    struct slice found = SLICE("");
    for (unsigned i = v->first[SIP_RECORD_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            if (v->request) return value;
            if (edge_after_own_uri(e, value).n > 0) return found;
            found = value;
        }
    }
    return found;
}

void remote_note(const struct edge *e, const struct sip_view *v, struct remote_hosts *side)
{
    struct slice contacts = sip_view_value(v, SIP_CONTACT);
    struct slice contact = SLICE("");
    if (contacts.n > 0 && sip_value_next(&contacts, &contact)) note(e, contact, side);
    if (v->first[SIP_RECORD_ROUTE] != SIP_NO_LINE) note(e, next_to_us(e, v), side);
}
