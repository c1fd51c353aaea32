#include "tests/unit/repl/drive.h"

static char big[LIMIT_OBJECT + 1];

/* Each row is a message that no honest peer sends; none of them may change anything. */
static void bad_messages_change_nothing(void **state)
{
    (void)state;
    struct node_name bad_name = {{0}};
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = SLICE("v")};
    struct change_op ops[] = {op, op, op, op};
    ops[0].kind = (enum change_op_kind)9;
    ops[1].key = SLICE_NONE;
    ops[2].value = (struct slice){big, sizeof big};
    ops[3].kind = CHANGE_DELETE;
    struct changeset c[9];
    for (size_t i = 0; i < 9; i++)
        c[i] = change_of("n2", 1);
    for (size_t i = 0; i < 4; i++)
        c[i].ops = &ops[i];
    c[4].id.seq = 0;
    c[5].id.epoch = 0;
    c[6].id.origin = bad_name;
    c[7].id.seq = UINT64_MAX;
    c[8].message = (struct slice){big, LIMIT_TEXT + 1};
    struct state_record s[7];
    for (size_t i = 0; i < 7; i++)
        s[i] = record_of("n2", 1, "k");
    s[0].kind = (enum state_kind)(STATE_KIND_MAX + 1);
    s[1].kind = (enum state_kind)0;
    s[2].version = 0;
    s[3].key = (struct slice){big, REPL_KEY_MAX + 1};
    s[4].value = (struct slice){big, sizeof big};
    s[5].version = 2; /* above upto */
    s[6].epoch++;     /* not upto's */
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 1};
    struct vector_entry v[] = {{bad_name, DRIVE_EPOCH, 1}, {name_of("n2"), 0, 1}, {name_of("n2"), 1, UINT64_MAX}};
    struct member_note n[] = {note_of("n3", MEMBER_ALIVE),          note_of("n3", (enum member_status)0),
                              note_of("n3", (enum member_status)6), note_of("n3", MEMBER_ALIVE),
                              note_of("n3", MEMBER_ALIVE),          note_of("n3", MEMBER_ALIVE)};
    n[0].name = bad_name;
    n[3].incarnation = UINT64_MAX;
    n[4].mesh_address = SLICE("with space:1");
    n[5].site = (struct slice){big, LIMIT_NAME + 1};
    struct log_id ids[] = {{bad_name, 1, 1}, {name_of("n1"), DRIVE_EPOCH, 0}};

    struct drive d;
    struct repl_config config = config_of("n1");
    drive_open(&d, &config);
    drive_join(&d, "n2");
    struct repl_message m[40];
    size_t count = 0;
    for (size_t i = 0; i < 9; i++) {
        m[count++] = (struct repl_message){.type = REPL_PUSH, .push = {.changes = &c[i], .change_count = 1}};
    }
    for (size_t i = 0; i < 7; i++) {
        m[count++] = (struct repl_message){
            .type = REPL_PUSH,
            .push = {.records = &s[i], .record_count = 1, .state_upto = &upto, .state_upto_count = 1}};
    }
    m[count++] = (struct repl_message){.type = REPL_PUSH, .push = {.records = &s[0], .record_count = 1}};
    for (size_t i = 0; i < 3; i++) {
        m[count++] = (struct repl_message){.type = REPL_WANT, .want = {.plan = &v[i], .plan_count = 1}};
        m[count++] = (struct repl_message){.type = REPL_WANT, .want = {.state = &v[i], .state_count = 1}};
        m[count++] = (struct repl_message){.type = REPL_PUSH, .push = {.state_upto = &v[i], .state_upto_count = 1}};
    }
    for (size_t i = 0; i < 6; i++)
        m[count++] = heartbeat_of(&d, &n[i], 1);
    for (size_t i = 0; i < 2; i++) {
        m[count++] = (struct repl_message){.type = REPL_RECEIPT, .receipt = {&ids[i], 1}};
    }
    m[count++] = (struct repl_message){.type = (enum repl_message_type)0};
    m[count++] = (struct repl_message){.type = REPL_TYPE_COUNT};

    for (size_t i = 0; i < count; i++) {
        enum err e = drive_message(&d, "n2", m[i]);
        if (e != ERR_SYNTAX && e != ERR_LIMIT) fail_msg("row %zu gave %s", i, err_name(e));
        assert_int_equal(d.out.count, 0);
        assert_int_equal(repl_member_count(d.r), 2);
    }
    assert_int_equal(counted(&d, "messages_invalid"), count);
    assert_int_equal(drive_message(&d, "n1", heartbeat_of(&d, NULL, 0)), ERR_SYNTAX); /* from ourselves */
    drive_close(&d);
}

static void a_bad_configuration_is_refused(void **state)
{
    (void)state;
    struct repl *r = NULL;
    struct repl_config c = config_of("n1");
    c.epoch = 0;
    assert_int_equal(repl_new(&c, &r), ERR_SYNTAX);
    c = config_of("n1");
    memset(&c.self, 0, sizeof c.self);
    assert_int_equal(repl_new(&c, &r), ERR_SYNTAX);
    c = config_of("n1");
    c.site = (struct slice){big, LIMIT_NAME + 1};
    assert_int_equal(repl_new(&c, &r), ERR_LIMIT);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_messages_change_nothing),
        cmocka_unit_test(a_bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
