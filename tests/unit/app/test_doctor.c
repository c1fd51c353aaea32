/* What the doctor sees from the node's own machine: ports with and without a listener, a directory that is none,
 * certificates that are young, old and none, and ports of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cmocka.h>

#include "node/app/doctor.h"

/* A socket on a port of its own, listening where it is a stream. */
static int open_port(int type, unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    if (type == SOCK_STREAM) assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void ports(void **state)
{
    struct doctor d = {0};
    unsigned udp = 0;
    unsigned tcp = 0;
    char texts[3][64];
    (void)state;
    int a = open_port(SOCK_DGRAM, &udp);
    int b = open_port(SOCK_STREAM, &tcp);
    (void)snprintf(texts[0], sizeof texts[0], "udp:127.0.0.1:%u", udp);
    (void)snprintf(texts[1], sizeof texts[1], "tcp:127.0.0.1:%u", tcp);
    (void)snprintf(texts[2], sizeof texts[2], "udp:192.0.2.1:5060");
    struct config config = {.sip_listen = {texts[0], texts[1], texts[2]}, .sip_listen_count = 3};
    doctor_ports(&d, &config);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.items[0].state, DOCTOR_OK);
    assert_int_equal(d.items[1].state, DOCTOR_OK);
    assert_int_equal(d.items[2].state, DOCTOR_FAILED);
    assert_non_null(strstr(d.items[2].text, "does not have the address"));
    doctor_fini(&d);
    (void)close(a);
    (void)close(b);
    config.sip_listen_count = 2;
    doctor_ports(&d, &config);
    assert_int_equal(d.items[0].state, DOCTOR_FAILED);
    assert_int_equal(d.items[1].state, DOCTOR_FAILED);
    assert_string_equal(d.items[1].text, "nobody listens there");
    assert_true(d.items[1].mend[0] != '\0');
    doctor_fini(&d);
}

static void ways(void **state)
{
    struct doctor d = {0};
    unsigned open = 0;
    unsigned closed = 0;
    struct doctor_way list[3] = {{.node = "a"}, {.node = "b"}, {.node = "c", .address = "udp:127.0.0.1:9"}};
    (void)state;
    int a = open_port(SOCK_STREAM, &open);
    (void)close(open_port(SOCK_STREAM, &closed));
    (void)snprintf(list[0].address, sizeof list[0].address, "tls:127.0.0.1:%u", open);
    (void)snprintf(list[1].address, sizeof list[1].address, "tcp:127.0.0.1:%u", closed);
    doctor_ways(&d, list, 3);
    assert_int_equal(d.count, 3);
    for (size_t i = 0; i < 3; i++) {
        bool well = strstr(d.items[i].object, "SIP of a") != NULL;
        assert_int_equal(d.items[i].state, well ? DOCTOR_OK : DOCTOR_FAILED);
    }
    doctor_fini(&d);
    (void)close(a);
}

static void disks(void **state)
{
    struct doctor d = {0};
    char dir[] = "/tmp/tandem-doctor-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    doctor_disk(&d, dir);
    assert_int_equal(d.count, 2);
    assert_non_null(strstr(d.items[0].text, "MiB are free"));
    assert_non_null(strstr(d.items[1].text, "a write is on the disk after"));
    doctor_fini(&d);
    assert_int_equal(rmdir(dir), 0); /* nothing was left in it */
    doctor_disk(&d, dir);
    assert_int_equal(d.items[0].state, DOCTOR_FAILED);
    assert_int_equal(d.items[1].state, DOCTOR_FAILED);
    assert_non_null(strstr(d.items[1].text, "No such file"));
    doctor_fini(&d);
}

/* Valid from one day before now until some days after it. */
static void write_certificate(const char *path, int days)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *f = fopen(path, "w");
    assert_true(key != NULL && cert != NULL && f != NULL);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -86400 * 400L));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * days + 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    (void)fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void certificates(void **state)
{
    static const struct {
        int days;
        enum doctor_state state;
        const char *text;
    } rows[] = {{100, DOCTOR_OK, "valid for 100 more days"},
                {29, DOCTOR_WARNING, "valid for 29 more days"},
                {-1, DOCTOR_FAILED, "it has expired"},
                {-300, DOCTOR_FAILED, "it has expired"}};
    char path[] = "/tmp/tandem-doctor-XXXXXX";
    struct wall now = {time(NULL) * INT64_C(1000)};
    (void)state;
    (void)close(mkstemp(path));
    struct identity identity = {.cert_file = path};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor d = {0};
        write_certificate(path, rows[i].days);
        doctor_certificates(&d, &identity, NULL, now);
        assert_int_equal(d.count, 1); /* without a CA there is no second one */
        assert_int_equal(d.items[0].state, rows[i].state);
        assert_non_null(strstr(d.items[0].text, rows[i].text));
        assert_int_equal(d.items[0].mend[0] == '\0', rows[i].state == DOCTOR_OK);
        doctor_fini(&d);
    }
    struct doctor d = {0};
    assert_int_equal(truncate(path, 10), 0);
    doctor_certificates(&d, &identity, NULL, now);
    assert_non_null(strstr(d.items[0].text, "cannot be read"));
    doctor_fini(&d);
    write_certificate(path, 100);
    doctor_certificates(&d, &identity, NULL, (struct wall){now.ms - INT64_C(500) * 86400000});
    assert_non_null(strstr(d.items[0].text, "begins to be valid"));
    doctor_fini(&d);
    /* what phones and trunks are shown is looked at as well */
    write_certificate(path, -1);
    doctor_certificates(&d, &(struct identity){0}, path, now);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.items[0].state, DOCTOR_FAILED);
    assert_non_null(strstr(d.items[0].text, "phones and trunks"));
    assert_non_null(strstr(d.items[0].mend, "SIGHUP"));
    doctor_fini(&d);
    assert_int_equal(unlink(path), 0);
}

static void the_clock_is_spoken_of(void **state)
{
    struct doctor d = {0};
    (void)state;
    doctor_clock(&d);
    assert_int_equal(d.count, 1);
    assert_true(d.items[0].state != DOCTOR_FAILED);
    doctor_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports),
        cmocka_unit_test(ways),
        cmocka_unit_test(disks),
        cmocka_unit_test(certificates),
        cmocka_unit_test(the_clock_is_spoken_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
