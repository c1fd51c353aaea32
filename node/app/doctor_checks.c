#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "node/app/doctor.h"
#include "node/edge/address.h"

#define MIB (1024 * 1024)
#define ROOM_FAILED (64LL * MIB)
#define ROOM_WARNING (1024LL * MIB)
#define WRITES 8
#define WRITE_WARNING_US 50000
#define WRITE_FAILED_US 500000
#define CERTIFICATE_WARNING_DAYS 30

const char *doctor_state_name(enum doctor_state s)
{
    static const char *const names[] = {"ok", "warning", "failed"};
    return names[s];
}

void doctor_fini(struct doctor *d)
{
    free(d->items);
    *d = (struct doctor){0};
}

void doctor_add(struct doctor *d, const char *check, enum doctor_state state, const char *object, const char *mend,
                const char *fmt, ...)
{
    va_list ap;
    if (d->count == d->cap) {
        size_t cap = d->cap > 0 ? 2 * d->cap : 16;
        struct doctor_finding *items = realloc(d->items, cap * sizeof *items);
        if (items == NULL) {
            d->failed = true;
            return;
        }
        d->items = items;
        d->cap = cap;
    }
    struct doctor_finding *f = &d->items[d->count++];
    *f = (struct doctor_finding){.check = check, .state = state};
    (void)snprintf(f->object, sizeof f->object, "%s", object);
    (void)snprintf(f->mend, sizeof f->mend, "%s", mend != NULL ? mend : "");
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
}

/* ---- ports ---- */

/* The port is taken when nobody else can have it: by us, since we run. */
static bool is_listening(enum plan_transport transport, const union sock_address *at, int *error)
{
    int on = 1;
    int fd = socket(at->any.sa_family, (transport == PLAN_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = errno;
        return false;
    }
    /* of a stream also with SO_REUSEADDR: connections that have ended may hold the port without it */
    if (transport != PLAN_UDP) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    *error = bind(fd, &at->any, sock_address_len(at)) == 0 ? 0 : errno;
    (void)close(fd);
    return *error == EADDRINUSE;
}

static void check_port(struct doctor *d, const char *what, const char *text)
{
    enum plan_transport transport = PLAN_TCP;
    union sock_address at;
    char object[LIMIT_HOST + 64];
    int error = 0;
    (void)snprintf(object, sizeof object, "%s %s", what, text);
    if (listen_parse(slice_of(text), &transport, &at, NULL) != ERR_OK || sock_address_port(&at) == 0) return;
    if (is_listening(transport, &at, &error)) {
        doctor_add(d, "port", DOCTOR_OK, object, NULL, "is served");
    } else if (error == EADDRNOTAVAIL) {
        doctor_add(d, "port", DOCTOR_FAILED, object, "give the machine the address back, or correct listen",
                   "this machine does not have the address any more");
    } else {
        doctor_add(d, "port", DOCTOR_FAILED, object, "look into the node's log, and restart it",
                   "nobody listens there");
    }
}

void doctor_ports(struct doctor *d, const struct config *config)
{
    char text[LIMIT_HOST + 32];
    for (size_t i = 0; i < config->sip_listen_count; i++)
        check_port(d, "SIP", config->sip_listen[i]);
    if (config->mesh && config->mesh_listen != NULL) {
        (void)snprintf(text, sizeof text, "tcp:%s", config->mesh_listen);
        check_port(d, "mesh", text);
    }
    if (config->http != NULL) {
        (void)snprintf(text, sizeof text, "tcp:%s", config->http);
        check_port(d, "http", text);
    }
}

/* ---- disk ---- */

static void check_room(struct doctor *d, const char *data)
{
    struct statvfs s;
    if (statvfs(data, &s) != 0) {
        doctor_add(d, "disk", DOCTOR_FAILED, data, "see that the directory is there and mounted", "%s",
                   strerror(errno));
        return;
    }
    long long left = (long long)s.f_bavail * (long long)s.f_frsize;
    enum doctor_state state = left < ROOM_FAILED ? DOCTOR_FAILED : left < ROOM_WARNING ? DOCTOR_WARNING : DOCTOR_OK;
    doctor_add(d, "disk", state, data, state != DOCTOR_OK ? "make room: a full disk refuses plan changes" : NULL,
               "%lld MiB are free", left / MIB);
}

static int64_t monotonic_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The longest of some small writes, each until it is on the disk; < 0: errno, negative. */
static int64_t slowest_write_us(int fd)
{
    static const char page[4096];
    int64_t most = 0;
    for (int i = 0; i < WRITES; i++) {
        int64_t from = monotonic_us();
        if (pwrite(fd, page, sizeof page, 0) != sizeof page || fdatasync(fd) != 0) return errno > 0 ? -errno : -EIO;
        int64_t took = monotonic_us() - from;
        if (took > most) most = took;
    }
    return most;
}

static void check_writes(struct doctor *d, const char *data)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/.doctor-%ld", data, (long)getpid());
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    int64_t us = fd >= 0 ? slowest_write_us(fd) : -errno;
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
    }
    if (us < 0) {
        doctor_add(d, "disk", DOCTOR_FAILED, data, "see to the disk and the directory's permissions",
                   "cannot be written: %s", strerror((int)-us));
        return;
    }
    enum doctor_state state = us > WRITE_FAILED_US ? DOCTOR_FAILED : us > WRITE_WARNING_US ? DOCTOR_WARNING : DOCTOR_OK;
    doctor_add(d, "disk", state, data,
               state != DOCTOR_OK ? "each registration and plan change waits that long: use a faster disk" : NULL,
               "a write is on the disk after %.1f ms at most", (double)us / 1000);
}

void doctor_disk(struct doctor *d, const char *data)
{
    check_room(d, data);
    check_writes(d, data);
}

/* ---- clock ---- */

void doctor_clock(struct doctor *d)
{
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);
    if (state < 0) {
        doctor_add(d, "clock", DOCTOR_WARNING, "time server", "see with timedatectl whether it is kept",
                   "the system does not say whether its clock is kept");
    } else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0) {
        doctor_add(d, "clock", DOCTOR_WARNING, "time server", "run NTP: timedatectl set-ntp true, or chrony",
                   "no time server keeps the clock");
    } else {
        doctor_add(d, "clock", DOCTOR_OK, "time server", NULL, "the clock is kept, within %.1f ms",
                   (double)t.maxerror / 1000);
    }
}

/* ---- certificates ---- */

static X509 *read_certificate(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) return NULL;
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    return cert;
}

/* Whole days from now on; *known false when the time cannot be read. */
static int days_until(const ASN1_TIME *t, time_t now, bool *known)
{
    int days = 0;
    int seconds = 0;
    ASN1_TIME *from = ASN1_TIME_set(NULL, now);
    *known = from != NULL && ASN1_TIME_diff(&days, &seconds, from, t) == 1;
    ASN1_TIME_free(from);
    return seconds < 0 && days == 0 ? -1 : days;
}

/* refuses: who does not accept it any more. */
static void check_certificate(struct doctor *d, const char *what, const char *path, const char *refuses,
                              const char *mend, time_t now)
{
    X509 *cert = path != NULL ? read_certificate(path) : NULL;
    bool known = false;
    bool begins_known = false;
    if (path == NULL) return;
    int left = cert != NULL ? days_until(X509_get0_notAfter(cert), now, &known) : 0;
    int begins = cert != NULL ? days_until(X509_get0_notBefore(cert), now, &begins_known) : 0;
    if (cert == NULL || !known || !begins_known) {
        doctor_add(d, "certificate", DOCTOR_FAILED, what, mend, "%s cannot be read", path);
    } else if (left < 0) {
        doctor_add(d, "certificate", DOCTOR_FAILED, what, mend, "it has expired: %s", refuses);
    } else if (begins > 0) {
        doctor_add(d, "certificate", DOCTOR_FAILED, what, "set the clock right", "it begins to be valid in %d days",
                   begins);
    } else {
        bool soon = left < CERTIFICATE_WARNING_DAYS;
        doctor_add(d, "certificate", soon ? DOCTOR_WARNING : DOCTOR_OK, what, soon ? mend : NULL,
                   "it is valid for %d more days", left);
    }
    X509_free(cert);
}

void doctor_certificates(struct doctor *d, const struct identity *identity, const char *sip, struct wall now)
{
    time_t at = (time_t)(now.ms / 1000);
    const char *alone = "no other node talks with this one";
    check_certificate(d, "of this node", identity->cert_file, alone,
                      "invite the node again under its name (node invite), and node join there", at);
    check_certificate(d, "of the cluster", identity->ca_file, alone,
                      "make a new CA (ca init), and invite every node again", at);
    check_certificate(d, "of sip.certificate", sip, "phones and trunks that look at it do not talk with this node",
                      "renew it, and have the node read it again (SIGHUP, systemctl reload)", at);
}
