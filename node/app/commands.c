/* commands: the table of what clusterctl may ask, and the pieces that its handlers share. */
#include "node/app/node.h"

#include <inttypes.h>
#include <stdio.h>

const struct control_command node_commands[] = {
    {"status", command_status},
    {"nodes", command_nodes},
    {"registrations", command_registrations},
    {"registrations failed", command_registrations_failed},
    {"bans", command_bans},
    {"ban remove", command_bans_remove},
    {"calls", command_calls},
    {"trace", command_trace},
    {"trunks", command_trunks},
    {"accounts", command_accounts},
    {"counters", command_counters},
    {"events", command_events},
    {"plan show", command_plan_show},
    {"plan log", command_plan_log},
    {"plan apply", command_plan_apply},
    {"plan diff", command_plan_apply},
    {"plan effect", command_plan_effect},
    {"plan rollback", command_plan_apply},
    {"plan confirm", command_plan_apply},
    {"plan accept", command_plan_apply},
    {"plan conflicts", command_plan_conflicts},
    {"route explain", command_route_explain},
    {"doctor", command_doctor},
    {"clock", command_clock},
    {"names", command_names},
    {"node invite-info", command_invite_info},
    {"node evict", command_evict},
    {"node drain", command_drain},
    {"node leave", command_leave},
};
const size_t node_command_count = sizeof node_commands / sizeof node_commands[0];

void command_record(struct control_reply *reply, struct control_builder *b)
{
    struct control_record record;
    if (control_record_done(b, &record) == ERR_OK) control_reply_record(reply, &record);
}

void command_end(struct control_reply *reply, enum err e)
{
    char text[80];
    if (e == ERR_OK) {
        control_reply_end(reply, 0, SLICE(""));
        return;
    }
    (void)snprintf(text, sizeof text, "the node cannot answer: %s", err_name(e));
    control_reply_end(reply, 1, slice_of(text));
}

void command_time(struct control_builder *b, const char *name, struct wall t)
{
    char text[WALL_TEXT_SIZE];
    if (t.ms == 0) {
        control_null(b, name);
    } else {
        control_text(b, name, slice_of(wall_text(t, text)));
    }
}

void change_id_text(const struct log_id *id, char out[CHANGE_ID_TEXT])
{
    (void)snprintf(out, CHANGE_ID_TEXT, "%s/%" PRIx64 "/%" PRIu64, id->origin.s, id->epoch, id->seq);
}
