/* The bindings that a node owns: on disk before they count, shown to the others only when they change, ended here. */
#include "kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/app/registrations_entry.h"
#include "proto/plan_codec.h"

static void open_node(struct kit *k)
{
    kit_init(k, NULL);
    kit_start(k);
}

static uint64_t shown(const struct kit *k)
{
    return kit_counter(k, "store", "state_applied");
}

static size_t own_count(struct kit *k, const char *account)
{
    struct arena arena = {0};
    struct binding *list = NULL;
    size_t count = 0;
    assert_int_equal(registrations_own(&k->node, &arena, slice_of(account), &list, &count), ERR_OK);
    arena_fini(&arena);
    return count;
}

/* ---- what is stored ---- */

static bool count_public(void *ctx, const struct state_record *r)
{
    (void)r;
    (*(size_t *)ctx)++;
    return true;
}

static bool count_private(void *ctx, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    (*(size_t *)ctx)++;
    return true;
}

struct stored {
    struct kit *k;
    size_t public_halves;
    size_t private_halves;
};

static struct stored stored_now(struct kit *k)
{
    struct stored s = {.k = k};
    assert_int_equal(node_read_begin(&k->node), ERR_OK);
    assert_int_equal(store_state_find(k->node.read, STATE_BINDING, SLICE(""), count_public, &s.public_halves), ERR_OK);
    assert_int_equal(store_private_each(k->node.read, STATE_BINDING, count_private, &s.private_halves), ERR_OK);
    node_read_end(&k->node);
    return s;
}

static bool nothing_stored(void *ctx)
{
    struct stored s = stored_now(ctx);
    return s.public_halves == 0 && s.private_halves == 0 && registrations_count(&((struct kit *)ctx)->node) == 0;
}

/* ---- tests ---- */

static void a_binding_is_written_read_and_removed(void **state)
{
    struct kit k;
    struct arena arena = {0};
    struct binding *list = NULL;
    size_t count = 0;
    (void)state;
    open_node(&k);
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 60000);
    assert_false(registrations_live(&k.node, SLICE("6001")));
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_true(registrations_live(&k.node, SLICE("6001")));
    assert_false(registrations_live(&k.node, SLICE("600")));
    assert_int_equal(registrations_own(&k.node, &arena, SLICE("6001"), &list, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_true(slice_is(list[0].contact, "sip:6001@192.0.2.7"));
    assert_true(slice_is(list[0].call_id, "c@d"));
    assert_in_range(list[0].expires.ms, b.expires.ms - 1000, b.expires.ms + 1000);
    assert_int_equal(stored_now(&k).public_halves, 1);
    assert_int_equal(kit_write(&k, NULL, 0, &b, 1), ERR_OK);
    assert_int_equal(own_count(&k, "6001"), 0);
    assert_true(nothing_stored(&k));
    assert_int_equal(kit_write(&k, NULL, 0, &b, 1), ERR_OK); /* once more: nothing to remove is no failure */
    arena_fini(&arena);
    kit_fini(&k);
}

/* DESIGN §4: a refresh that changes nothing costs no state record. */
static void a_refresh_is_shown_to_nobody(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 70000);
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    uint64_t before = shown(&k);
    for (unsigned i = 0; i < 10; i++) {
        b.cseq++;
        b.expires.ms += 1000;
        b.call_id = SLICE("other@call");
        assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    }
    assert_int_equal(shown(&k), before);
    b.received = SLICE("udp:192.0.2.7:5099");
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_int_equal(shown(&k), before + 1);
    kit_stop(&k); /* and after a restart neither, nor by the restart */
    kit_start(&k);
    before = shown(&k);
    kit_turn(&k, 1500);
    assert_int_equal(shown(&k), before + 1); /* its card, which says when it began */
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_int_equal(shown(&k), before + 1);
    kit_fini(&k);
}

static void they_end_by_themselves(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    struct binding list[2] = {kit_binding("6001", "sip:a@192.0.2.7", 50),
                              kit_binding("6001", "sip:b@192.0.2.7", 60000)};
    assert_int_equal(kit_write(&k, list, 2, NULL, 0), ERR_OK);
    kit_turn(&k, 60);
    assert_int_equal(own_count(&k, "6001"),
                     1); /* offered to nobody from its end on, not only when it is cleared away */
    assert_int_equal(kit_write(&k, NULL, 0, &list[1], 1), ERR_OK);
    kit_until(&k, nothing_stored, &k, "the binding to expire");
    assert_true(kit_logged(&k, "registrar/expired account=6001"));
    kit_fini(&k);
}

static void they_end_while_the_node_is_down(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    struct binding list[2] = {kit_binding("6001", "sip:a@192.0.2.7", 50),
                              kit_binding("6002", "sip:b@192.0.2.7", 60000)};
    assert_int_equal(kit_write(&k, list, 2, NULL, 0), ERR_OK);
    kit_stop(&k);
    kit_turn(&k, 60);
    kit_start(&k);
    assert_int_equal(own_count(&k, "6001"), 0);
    assert_int_equal(own_count(&k, "6002"), 1);
    assert_int_equal(kit_write(&k, NULL, 0, &list[1], 1), ERR_OK);
    kit_until(&k, nothing_stored, &k, "the binding to expire");
    kit_fini(&k);
}

/* A clock that was wrong when it was stored must not keep a binding for years. */
static void an_end_in_the_far_future_is_not_believed(void **state)
{
    struct kit k;
    struct arena arena = {0};
    struct binding *list = NULL;
    size_t count = 0;
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_private(s, "6001", "sip:a@192.0.2.7", node_wall().ms + INT64_C(10) * 365 * 86400000);
    kit_store_private(s, "6002", "sip:b@192.0.2.7", INT64_MAX);
    kit_store_close(s);
    kit_start(&k);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(registrations_own(&k.node, &arena, i == 0 ? SLICE("6001") : SLICE("6002"), &list, &count),
                         ERR_OK);
        assert_int_equal(count, 1);
        assert_in_range(list[0].expires.ms, node_wall().ms, node_wall().ms + 3600000);
    }
    arena_fini(&arena);
    kit_fini(&k);
}

/* A crash between the two halves: the private one counts. */
static bool find_6001(void *ctx, const struct state_record *r)
{
    *(bool *)ctx = *(bool *)ctx || slice_starts(r->key, SLICE("6001"));
    return true;
}

static bool halves_are_mended(void *ctx)
{
    struct kit *k = ctx;
    struct stored s = stored_now(k);
    bool found = false;
    assert_int_equal(node_read_begin(&k->node), ERR_OK);
    assert_int_equal(store_state_find(k->node.read, STATE_BINDING, SLICE(""), find_6001, &found), ERR_OK);
    node_read_end(&k->node);
    return found && s.public_halves == 1 && s.private_halves == 1;
}

static void halves_without_each_other_are_mended(void **state)
{
    struct kit k;
    struct binding b = kit_binding("6002", "sip:b@192.0.2.7", 60000);
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_private(s, "6001", "sip:a@192.0.2.7", node_wall().ms + 60000);
    kit_store_binding(s, "n1", 1, "6002", "sip:b@192.0.2.7");
    kit_store_close(s);
    kit_start(&k);
    assert_int_equal(own_count(&k, "6001"), 1);
    assert_int_equal(own_count(&k, "6002"), 0);
    assert_false(registrations_live(&k.node, SLICE("6002")));
    kit_until(&k, halves_are_mended, &k, "the halves to be mended");
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_int_equal(own_count(&k, "6002"), 1);
    kit_fini(&k);
}

/* A REGISTER may name one contact to be removed and to be added, and one twice. */
static void a_contact_named_twice_is_written_once(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    struct binding b = kit_binding("6001", "sip:a@192.0.2.7", 60000);
    struct binding twice[2] = {b, b};
    assert_int_equal(kit_write(&k, twice, 2, twice, 2), ERR_OK);
    assert_int_equal(own_count(&k, "6001"), 1);
    assert_int_equal(kit_write(&k, NULL, 0, twice, 2), ERR_OK);
    assert_true(nothing_stored(&k));
    kit_fini(&k);
}

static void a_new_epoch_shows_everything_again(void **state)
{
    struct kit k;
    struct binding list[30];
    char contacts[30][40];
    (void)state;
    open_node(&k);
    for (size_t i = 0; i < 30; i++) {
        (void)snprintf(contacts[i], sizeof contacts[i], "sip:%zu@192.0.2.7", i);
        list[i] = kit_binding("6001", contacts[i], 60000);
    }
    assert_int_equal(kit_write(&k, list, 30, NULL, 0), ERR_OK);
    uint64_t before = shown(&k);
    node_observe_again(&k.node);
    kit_turn(&k, 200);
    assert_int_equal(shown(&k), before + 31);                   /* and the card */
    assert_int_equal(kit_write(&k, list, 30, NULL, 0), ERR_OK); /* known again: refreshes are silent */
    assert_int_equal(shown(&k), before + 31);
    kit_fini(&k);
}

static bool verdict_is_ok(void *ctx)
{
    struct kit *k = ctx;
    char text[LIMIT_TEXT];
    node_verdict(&k->node, text, sizeof text);
    return strcmp(text, "ok") == 0;
}

/* A full disk: what is refused does not count, what was there stays, and it ends by itself. */
static void a_full_disk_refuses_and_recovers(void **state)
{
    struct kit k;
    struct rlimit old;
    char verdict[LIMIT_TEXT] = "";
    char contacts[32][500];
    struct binding list[32];
    enum err e = ERR_OK;
    size_t kept = 0;
    (void)state;
    open_node(&k);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct binding first = kit_binding("6001", "sip:first@192.0.2.7", 60000);
    struct binding brief = kit_binding("6002", "sip:brief@192.0.2.7", 1500);
    assert_int_equal(kit_write(&k, &first, 1, NULL, 0), ERR_OK);
    assert_int_equal(kit_write(&k, &brief, 1, NULL, 0), ERR_OK);
    struct rlimit small = {.rlim_cur = 400 * 1024, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (unsigned round = 0; e == ERR_OK && round < 200; round++) {
        for (size_t i = 0; i < 32; i++) {
            (void)snprintf(contacts[i], sizeof contacts[i], "sip:%u-%zu-%0400u@192.0.2.7", round, i, 0);
            list[i] = kit_binding("flood", contacts[i], 3000000);
        }
        e = kit_write(&k, list, 32, NULL, 0);
        if (e == ERR_OK) kept += 32;
    }
    assert_int_not_equal(e, ERR_OK);
    assert_int_equal(own_count(&k, "flood"), kept);
    assert_int_equal(own_count(&k, "6001"), 1);
    node_verdict(&k.node, verdict, sizeof verdict);
    assert_non_null(strstr(verdict, "registrations are not accepted: no space"));
    struct buf health = {0};
    assert_false(node_fit(&k.node, &health));
    buf_fini(&health);
    /* Its end comes while the disk is full: it is offered to nobody, and cleared away later. */
    kit_turn(&k, 3000);
    assert_false(registrations_live(&k.node, SLICE("6002")));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    kit_until(&k, verdict_is_ok, &k, "the store to recover");
    assert_int_equal(kit_write(&k, list, 32, NULL, 0), ERR_OK);
    assert_int_equal(own_count(&k, "flood"), kept + 32);
    kit_stop(&k); /* what is on the disk is what was said */
    kit_start(&k);
    assert_int_equal(own_count(&k, "flood"), kept + 32);
    assert_int_equal(own_count(&k, "6001"), 1);
    assert_int_equal(own_count(&k, "6002"), 0);
    kit_fini(&k);
}

/* The node ends while writes are under way: nothing is left, nobody is called back into freed memory. */
static void the_end_in_the_middle_of_writes(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    for (int i = 0; i < 100; i++) {
        char contact[40];
        (void)snprintf(contact, sizeof contact, "sip:%d@192.0.2.7", i);
        struct binding b = kit_binding("6001", contact, 60000);
        registrations_write(&k.node, &b, 1, NULL, 0, NULL, NULL);
    }
    node_observe_again(&k.node);
    kit_stop(&k);
    kit_start(&k);
    assert_int_equal(own_count(&k, "6001"), 100); /* the store finished what it had */
    kit_fini(&k);
}

/* ---- what the peers give back ---- */

static struct state_record given(struct arena *arena, const struct kit *k, const struct binding *b, bool removed)
{
    struct buf packed = {0};
    char key[BINDING_KEY_MAX];
    struct state_record r = {
        .owner = k->node.self, .epoch = 1, .version = 1, .kind = STATE_BINDING, .removed = removed};
    assert_int_equal(binding_pack(b, true, &packed), ERR_OK);
    r.key = arena_copy(arena, binding_key(b, key));
    if (!removed) r.value = arena_copy(arena, buf_view(&packed));
    buf_fini(&packed);
    return r;
}

static bool all_back(void *ctx)
{
    struct kit *k = ctx;
    return own_count(k, "6001") == 1 && own_count(k, "6002") == 1;
}

static void lost_bindings_are_taken_back(void **state)
{
    struct kit k;
    struct arena arena = {0};
    struct binding *list = NULL;
    size_t count = 0;
    (void)state;
    open_node(&k);
    kit_plan(&k, "plan: 1\ndefaults: { domain: example.org }\naccounts: { \"6001\": { password: x }, \"6002\": { "
                 "password: x }, \"6003\": { password: x } }\n");
    struct binding anew = kit_binding("6001", "sip:new@192.0.2.7", 60000);
    assert_int_equal(kit_write(&k, &anew, 1, NULL, 0), ERR_OK);
    struct binding old[] = {
        kit_binding("6001", "sip:old@192.0.2.7", 0), /* one contact is all that it may have */
        kit_binding("6002", "sip:b@192.0.2.7", 0), kit_binding("6003", "sip:c@192.0.2.7", 0),
        kit_binding("9999", "sip:d@192.0.2.7", 0), /* not in the plan */
    };
    old[1].lease_s = 128;
    struct state_record records[5];
    for (size_t i = 0; i < 4; i++)
        records[i] = given(&arena, &k, &old[i], false);
    records[4] = given(&arena, &k, &old[2], true); /* and then 6003 went */
    registrations_found(&k.node, records, 5);
    kit_until(&k, all_back, &k, "the bindings to be back");
    kit_turn(&k, 300);
    assert_int_equal(own_count(&k, "6003"), 0);
    assert_int_equal(own_count(&k, "9999"), 0);
    assert_int_equal(registrations_own(&k.node, &arena, SLICE("6001"), &list, &count), ERR_OK);
    assert_true(slice_is(list[0].contact, "sip:new@192.0.2.7"));
    assert_int_equal(registrations_own(&k.node, &arena, SLICE("6002"), &list, &count), ERR_OK);
    assert_in_range(list[0].expires.ms, node_wall().ms + 120000,
                    node_wall().ms + 128000); /* as long as it was granted */
    arena_fini(&arena);
    kit_fini(&k);
}

/* ---- damping ---- */

static size_t shown_of_6001(struct kit *k)
{
    size_t count = 0;
    assert_int_equal(node_read_begin(&k->node), ERR_OK);
    assert_int_equal(store_state_find(k->node.read, STATE_BINDING, SLICE("6001"), count_public, &count), ERR_OK);
    node_read_end(&k->node);
    return count;
}

static void who_comes_and_goes_is_not_shown_for_a_while(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 60000);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
        assert_int_equal(shown_of_6001(&k), 1);
        assert_string_equal(registrations_state(&k.node, &b), "up");
        assert_int_equal(kit_write(&k, NULL, 0, &b, 1), ERR_OK);
    }
    uint64_t before = shown(&k);
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_true(registrations_live(&k.node, SLICE("6001"))); /* here it is known */
    assert_string_equal(registrations_state(&k.node, &b), "damped");
    assert_int_equal(shown_of_6001(&k), 0);
    kit_turn(&k, 500);
    assert_int_equal(shown_of_6001(&k), 0);
    assert_int_equal(kit_write(&k, NULL, 0, &b, 1), ERR_OK); /* nobody knew it, nobody is told */
    assert_int_equal(shown(&k), before);
    kit_fini(&k);
}

/* A phone whose time is up, or whose connection was lost, may be back before that is on disk. */
static void who_is_back_before_the_end_is_stored(void **state)
{
    struct kit k;
    char key[BINDING_KEY_MAX];
    (void)state;
    open_node(&k);
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 60000);
    struct binding moved = kit_binding("6001", "sip:6001@192.0.2.8", 60000);
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    entry_end(k.node.registrations, entry_find(k.node.registrations, binding_key(&b, key)));
    assert_false(registrations_live(&k.node, SLICE("6001")));
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_true(registrations_live(&k.node, SLICE("6001")));
    assert_int_equal(stored_now(&k).public_halves, 1);
    assert_int_equal(stored_now(&k).private_halves, 1);
    /* or takes it away itself, and comes with another */
    entry_end(k.node.registrations, entry_find(k.node.registrations, binding_key(&b, key)));
    assert_int_equal(kit_write(&k, &moved, 1, &b, 1), ERR_OK);
    assert_int_equal(own_count(&k, "6001"), 1);
    assert_int_equal(stored_now(&k).public_halves, 1);
    assert_int_equal(stored_now(&k).private_halves, 1);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_is_written_read_and_removed),
        cmocka_unit_test(a_refresh_is_shown_to_nobody),
        cmocka_unit_test(they_end_by_themselves),
        cmocka_unit_test(they_end_while_the_node_is_down),
        cmocka_unit_test(an_end_in_the_far_future_is_not_believed),
        cmocka_unit_test(halves_without_each_other_are_mended),
        cmocka_unit_test(a_contact_named_twice_is_written_once),
        cmocka_unit_test(a_new_epoch_shows_everything_again),
        cmocka_unit_test(a_full_disk_refuses_and_recovers),
        cmocka_unit_test(the_end_in_the_middle_of_writes),
        cmocka_unit_test(lost_bindings_are_taken_back),
        cmocka_unit_test(who_comes_and_goes_is_not_shown_for_a_while),
        cmocka_unit_test(who_is_back_before_the_end_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
