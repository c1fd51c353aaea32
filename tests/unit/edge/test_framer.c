/* Framing: any split gives the same messages, keep-alives are told from messages, and a hostile stream stays cheap and
 * small. */
#include "transport_kit.h"

#include "node/edge/framer.h"

struct tally {
    size_t messages;
    size_t pings;
    size_t faults;
    size_t lost;
    enum sip_fault last;
};

/* Feeds data in pieces of step bytes and takes what comes out. */
static void feed(struct framer *f, struct slice data, size_t step, struct tally *t)
{
    struct sip_view v;
    bool answerable = false;
    for (size_t at = 0; at < data.n && t->lost == 0;) {
        size_t room_len = 0;
        char *room = framer_room(f, &room_len);
        assert_non_null(room);
        assert_true(room_len > 0);
        size_t n = data.n - at < step ? data.n - at : step;
        if (n > room_len) n = room_len;
        memcpy(room, data.p + at, n);
        framer_filled(f, n);
        at += n;
        for (enum frame frame = FRAME_PING; frame != FRAME_MORE && frame != FRAME_LOST;) {
            enum sip_fault fault = SIP_FAULT_NONE;
            frame = framer_next(f, &v, &fault, &answerable);
            t->messages += frame == FRAME_MESSAGE;
            t->pings += frame == FRAME_PING;
            t->faults += frame == FRAME_FAULT;
            t->lost += frame == FRAME_LOST;
            if (frame == FRAME_FAULT || frame == FRAME_LOST) t->last = fault;
        }
    }
}

static void add(struct buf *b, const char *call_id, size_t body)
{
    buf_slice(b, sip_text(call_id, body));
}

static void test_every_split(void **state)
{
    (void)state;
    struct buf b = {0};
    add(&b, "one", 0);
    add(&b, "two", 300);
    buf_text(&b, "\r\n\r\n"); /* ping */
    add(&b, "three", 20000);
    buf_text(&b, "\r\n"); /* a pong, or padding */
    add(&b, "four", 5);
    buf_text(&b, "\r\n\r\n\r\n\r\n");
    for (size_t step = 1; step < 9000; step = step < 64 ? step + 1 : step * 3) {
        struct framer f = {0};
        struct tally t = {0};
        feed(&f, buf_view(&b), step, &t);
        assert_int_equal(t.messages, 4);
        assert_int_equal(t.pings, 3);
        assert_int_equal(t.faults + t.lost, 0);
        assert_false(framer_partial(&f));
        framer_fini(&f);
    }
    buf_fini(&b);
}

static void test_hostile(void **state)
{
    static const struct {
        const char *name;
        const char *data;
        size_t repeat;
        size_t lost, faults;
    } rows[] = {
        {"http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, 1, 0},
        {"tls hello", "\x16\x03\x01\x02 abcdefghijkl\n", 1, 1, 0},
        {"no line end", "abcdefgh", 20000, 1, 0},
        {"endless head", "OPTIONS sip:a@b SIP/2.0\r\n", 10000, 1, 0},
        {"no length", "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\r\n", 1, 1, 0},
        {"huge length",
         "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: 2147483640\r\n\r\n", 1, 1,
         0},
        {"negative length",
         "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: -1\r\n\r\n", 1, 1, 0},
        {"framed but incomplete",
         "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n", 3, 0, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        for (size_t n = 0; n < rows[i].repeat; n++)
            buf_text(&b, rows[i].data);
        for (size_t step = 1; step <= b.n; step = step * 7 + 1) {
            struct framer f = {0};
            struct tally t = {0};
            feed(&f, buf_view(&b), step, &t);
            if (t.messages != 0 || t.lost != rows[i].lost || t.faults != rows[i].faults) {
                fail_msg("%s at step %zu: %zu messages, %zu lost, %zu faults", rows[i].name, step, t.messages, t.lost,
                         t.faults);
            }
            assert_true(f.in.cap <= 2 * LIMIT_SIP_HARD + 2);
            framer_fini(&f);
        }
        buf_fini(&b);
    }
}

/* A head that stays acceptable line by line and never ends, in small pieces: refused at the limit. */
static void test_endless_head(void **state)
{
    (void)state;
    for (size_t step = 1; step < 5000; step = step * 5 + 2) {
        struct framer f = {0};
        struct tally t = {0};
        char line[4000];
        memset(line, 'a', sizeof line);
        memcpy(line, "X: ", 3);
        memcpy(line + sizeof line - 2, "\r\n", 2);
        feed(&f, SLICE("OPTIONS sip:a@b SIP/2.0\r\n"), step, &t);
        for (size_t sent = 0; sent < 2 * LIMIT_SIP_HARD && t.lost == 0; sent += sizeof line) {
            feed(&f, (struct slice){line, sizeof line}, step, &t);
        }
        assert_int_equal(t.lost, 1);
        assert_int_equal(t.messages + t.faults, 0);
        assert_true(f.in.cap <= 2 * LIMIT_SIP_HARD + 2);
        framer_fini(&f);
    }
}

/* The largest message that fits, and what is kept after it. */
static void test_memory(void **state)
{
    (void)state;
    struct framer f = {0};
    struct tally t = {0};
    size_t head = sip_text("x", 60000).n - 60000;
    struct slice largest = sip_text("x", LIMIT_SIP_HARD - head);
    assert_int_equal(largest.n, LIMIT_SIP_HARD);
    feed(&f, largest, 1000, &t);
    assert_int_equal(t.messages, 1);
    feed(&f, sip_text("y", 0), 1000, &t);
    assert_int_equal(t.messages, 2);
    assert_true(f.in.cap <= 8192);
    feed(&f, sip_text("x", LIMIT_SIP_HARD - head + 1), 1000, &t);
    assert_int_equal(t.messages, 2);
    assert_int_equal(t.lost, 1);
    assert_int_equal(t.last, SIP_FAULT_TOO_LARGE);
    framer_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
