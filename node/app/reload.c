/* reload: SIGHUP: what of a changed configuration can be taken over while calls go on: the log level, seeds to dial,
 * and what the certificates' files hold. The rest is named in the log, so that nobody believes that it holds. */
#include "node/app/log_sink.h"
#include "node/app/node.h"

static bool differs(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

static bool lists_differ(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count) return true;
    for (size_t i = 0; i < a_count; i++) {
        if (differs(a[i], b[i])) return true;
    }
    return false;
}

static void name_what_waits(const struct node *n, const struct config *fresh)
{
    const struct config *old = &n->config;
    const struct {
        const char *key;
        bool differs;
    } keys[] = {
        {"node", differs(old->node, fresh->node)},
        {"site", differs(old->site, fresh->site)},
        {"cluster", differs(old->cluster, fresh->cluster)},
        {"data", differs(old->data, fresh->data)},
        {"sip.listen",
         lists_differ(old->sip_listen, old->sip_listen_count, fresh->sip_listen, fresh->sip_listen_count)},
        {"sip.advertise", differs(old->sip_advertise, fresh->sip_advertise)},
        {"sip.certificate", differs(old->sip_certificate, fresh->sip_certificate)},
        {"sip.key", differs(old->sip_key, fresh->sip_key)},
        {"sip.session", old->sip_session_s != fresh->sip_session_s},
        {"sip.no_answer", old->sip_no_answer_ms != fresh->sip_no_answer_ms},
        {"mesh", old->mesh != fresh->mesh},
        {"mesh.listen", differs(old->mesh_listen, fresh->mesh_listen)},
        {"mesh.advertise", differs(old->mesh_advertise, fresh->mesh_advertise)},
        {"control", differs(old->control, fresh->control)},
        {"media", differs(old->media_relay, fresh->media_relay)},
        {"http", differs(old->http, fresh->http)},
        {"calls", old->calls_idle_ms != fresh->calls_idle_ms || old->calls_keep_ms != fresh->calls_keep_ms ||
                      old->calls_max != fresh->calls_max},
        {"history", old->history != fresh->history},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!keys[i].differs) continue;
        log_event(&n->log, LOG_WARN, "main", "restart-needed", "key=%s why=\"it is taken over at a start only\"",
                  keys[i].key);
    }
}

/* A renewed one is shown from the next connection on. */
static void take_certificates(struct node *n)
{
    struct err_info info = {0};
    struct tls_files files = node_tls_files(n);
    enum err e = n->edge != NULL ? edge_tls_reload(n->edge, &files, &info) : ERR_OK;
    if (e == ERR_OK) return;
    log_event(&n->log, LOG_ERROR, "main", "certificate-refused", "why=\"%s; those in use stay\"",
              info.text[0] != '\0' ? info.text : err_name(e));
}

void node_reload(struct node *n, const struct config *fresh)
{
    n->config.log_level = fresh->log_level;
    n->log.max = log_sink_max(fresh->log_level);
    for (size_t i = 0; n->mesh != NULL && i < fresh->seed_count; i++) {
        enum err e = mesh_dial_seed(n->mesh, slice_of(fresh->seeds[i])); /* one that is known is left alone */
        if (e != ERR_OK) {
            log_event(&n->log, LOG_WARN, "main", "seed-refused", "address=%s err=\"%s\"", fresh->seeds[i], err_name(e));
        }
    }
    take_certificates(n);
    name_what_waits(n, fresh);
    log_event(&n->log, LOG_INFO, "main", "reloaded", "log=%s seeds=%zu", log_level_name(fresh->log_level),
              fresh->seed_count);
}
