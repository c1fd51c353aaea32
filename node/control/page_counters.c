/* page_counters: which counters tell of something refused, dropped or failed. Those of ordinary work are listed, all
 * others tell of trouble. A call that fails is ordinary: most are busy, or not answered. */
#include "node/control/page.h"

static const struct {
    const char *module;
    const char *names; /* between blanks */
} ordinary[] = {
    {"edge", " requests responses forwarded requests_repeated acks_absorbed cancels auth_ok auth_elsewhere challenged "
             "auth_stale calls_started calls_restored calls_answered calls_failed without_tls "},
    {"transport", " udp_received udp_gathers udp_sent udp_keepalives stream_received stream_sent stream_keepalives "
                  "stream_accepted stream_connects stream_lost stream_timeout_idle tls_handshakes fault_none "},
    {"prober", " probes answers went_up "},
    {"registrar", " requests registered unchanged removed queries waited "},
    {"client", " requests answers challenges redirects registered given_back keepalives requests_in "
               "requests_in_elsewhere calls_challenged "},
    {"keeper", " opened crlf_sent options_sent answers dialled "},
    {"media", " offers answers deletes pings "},
    {"guard", " passed_where_registered passed_banned "},
    {"dns", " lookups literals cache_hits questions evicted "},
    {"loop", " turns turns_over_5ms "},
    {"store", " plan_commits state_commits changes_applied changes_duplicate changes_trimmed snapshots_taken ops_won "
              "ops_lost state_applied state_replaced state_forgotten calls_written calls_trimmed map_grown "
              "readers_cleared "},
    {"repl", " changes_duplicate changes_held floors_raised floors_adopted snapshots_begun snapshots_taken "
             "snapshots_put_off pieces_sent pieces_stale wants_sent wants_received accusations_refuted probes_sent "
             "own_records_found new_epochs "},
    {"mesh", " messages_sent messages_received fragments_sent fragments_received hello_required hello_accepted "
             "links_up polls_sent polls_taken listener_probes "},
    {"control", " connections requests requests_relayed requests_dispatched clients_gone "},
    {"http", " requests "},
};

static bool among(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(names, name); at != NULL; at = strstr(at + 1, name)) {
        if (at[-1] == ' ' && at[n] == ' ') return true; /* names begins and ends with a blank */
    }
    return false;
}

bool page_counter_is_trouble(const char *module, const char *name)
{
    for (size_t i = 0; i < sizeof ordinary / sizeof ordinary[0]; i++) {
        if (strcmp(ordinary[i].module, module) == 0) return !among(ordinary[i].names, name);
    }
    return true;
}
