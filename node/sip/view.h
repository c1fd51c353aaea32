/* view: an index of one SIP message as received, built in one linear pass with hard caps. Nothing is copied or changed:
 * every slice points into the message, which must outlive the view.
 *
 * It refuses what libosip2 lets through and what broke other servers (negative or doubled Content-Length, CSeq over
 * 2^31, method mismatch, missing From/To/Call-ID/CSeq/Via, NUL, bare CR, control characters in the first line, another
 * SIP version). What it accepts has: a first line, topmost Via with sent-by, one each of From, To, Call-ID, CSeq, and a
 * body of exactly Content-Length bytes (datagram: the rest when the header is missing; surplus bytes of a datagram are
 * cut off, RFC 3261 §18.3). Values other than these few are not parsed here: node/sip/value.h does, through libosip2,
 * on demand. Specification: RFC 3261 §7, §20, §25; compact forms included; line folding accepted. */
#ifndef TANDEM_SIP_VIEW_H
#define TANDEM_SIP_VIEW_H

#include "node/base/bytes.h"
#include "node/base/limits.h"

enum sip_method {
    SIP_INVITE,
    SIP_ACK,
    SIP_BYE,
    SIP_CANCEL,
    SIP_REGISTER,
    SIP_OPTIONS,
    SIP_PRACK,
    SIP_SUBSCRIBE,
    SIP_NOTIFY,
    SIP_PUBLISH,
    SIP_INFO,
    SIP_REFER,
    SIP_MESSAGE,
    SIP_UPDATE,
    SIP_METHOD_OTHER
};
const char *sip_method_name(enum sip_method m);

enum sip_header {
    SIP_VIA,
    SIP_FROM,
    SIP_TO,
    SIP_CALL_ID,
    SIP_CSEQ,
    SIP_MAX_FORWARDS,
    SIP_ROUTE,
    SIP_RECORD_ROUTE,
    SIP_CONTACT,
    SIP_CONTENT_LENGTH,
    SIP_CONTENT_TYPE,
    SIP_EXPIRES,
    SIP_MIN_EXPIRES,
    SIP_AUTHORIZATION,
    SIP_PROXY_AUTHORIZATION,
    SIP_WWW_AUTHENTICATE,
    SIP_PROXY_AUTHENTICATE,
    SIP_REQUIRE,
    SIP_PROXY_REQUIRE,
    SIP_SUPPORTED,
    SIP_UNSUPPORTED,
    SIP_PATH,
    SIP_SERVICE_ROUTE,
    SIP_REASON,
    SIP_RETRY_AFTER,
    SIP_ASSERTED_IDENTITY,
    SIP_PREFERRED_IDENTITY,
    SIP_PRIVACY,
    SIP_SESSION_ID,
    SIP_SESSION_EXPIRES,
    SIP_USER_AGENT,
    SIP_SERVER,
    SIP_ALLOW,
    SIP_RACK,
    SIP_RSEQ,
    SIP_DIVERSION,
    SIP_HISTORY_INFO,
    SIP_REMOTE_PARTY_ID,
    SIP_REPLACES,
    SIP_MAX_BREADTH,
    SIP_HEADER_OTHER,
    SIP_HEADER_COUNT
};

/* Why a message was refused; each has a counter at the edge and the answer that a request gets where its topmost Via
 * can be trusted (0: silence). */
enum sip_fault {
    SIP_FAULT_NONE,
    SIP_FAULT_TOO_LARGE,     /* 513 */
    SIP_FAULT_FIRST_LINE,    /* not SIP: silence */
    SIP_FAULT_VERSION,       /* 505 */
    SIP_FAULT_LINE,          /* NUL, bare CR, no colon, bad header name: 400 */
    SIP_FAULT_TOO_MANY,      /* header lines, Vias: 400 */
    SIP_FAULT_LINE_TOO_LONG, /* 400 */
    SIP_FAULT_MISSING,       /* a mandatory header: 400 */
    SIP_FAULT_DUPLICATE,     /* From, To, Call-ID, CSeq, Max-Forwards, Content-Length twice: 400 */
    SIP_FAULT_VIA,           /* topmost Via does not parse: silence */
    SIP_FAULT_VALUE,         /* From, To, Call-ID, Max-Forwards: 400 */
    SIP_FAULT_CSEQ,          /* 400 */
    SIP_FAULT_URI,           /* Request-URI: 400; unknown scheme is not a fault here (416 is the proxy's) */
    SIP_FAULT_LENGTH,        /* Content-Length against the body: 400 */
    SIP_FAULT_INCOMPLETE,    /* stream: more bytes are needed; not an error */
    SIP_FAULT_COUNT
};
const char *sip_fault_name(enum sip_fault f); /* stable: "too_large" */
unsigned sip_fault_answer(enum sip_fault f);  /* 400 ..., 0 silence */

#define SIP_LINES_MAX 128
#define SIP_LINES_OURS 16 /* more, in a message as it has left: ours */
#define SIP_LINE_MAX 4096
#define SIP_LINE_OURS 128 /* more, in such a message: received and rport of a Via */
#define SIP_VIAS_MAX 64
#define SIP_NO_LINE 255

struct sip_line {
    uint8_t id;     /* enum sip_header */
    uint8_t next;   /* index of the next line of the same id, SIP_NO_LINE at the end */
    uint16_t start; /* of the name */
    uint16_t name_len;
    uint16_t value;     /* start of the value, leading white space skipped */
    uint16_t value_len; /* trailing white space cut; folds are still inside */
    uint16_t end;       /* after its CRLF (and its folds) */
};

struct sip_via_view {       /* the topmost one */
    struct slice all;       /* the value up to a comma or the line's end */
    struct slice transport; /* "UDP" */
    struct slice host;      /* sent-by, brackets of IPv6 kept */
    uint16_t port;          /* 0 when absent */
    struct slice branch;    /* "" when absent */
    bool rport;             /* present without a value, or with one */
    struct slice received;
    bool more;                   /* another value follows in the same line after a comma */
    size_t next_value;           /* offset of that value in the message when more */
    struct slice rport_param;    /* "rport" or "rport=5060" as written, {NULL, 0} when absent */
    struct slice received_param; /* "received=192.0.2.1" as written, {NULL, 0} when absent */
};

/* A URI as far as its characters tell; value.h takes it apart. */
struct sip_uri_shape {
    struct slice scheme;
    bool is_sip;       /* sip or sips: what follows is set */
    bool is_tel;       /* user is the number as written */
    struct slice user; /* without the password */
    struct slice host; /* brackets kept */
    uint16_t port;
    struct slice params; /* "" or begins with a semicolon */
};

struct sip_view {
    const char *data;
    size_t len; /* of head and body, without surplus */
    bool request;
    enum sip_method method; /* of the request, or of CSeq in a response */
    struct slice method_text;
    struct slice uri;               /* Request-URI */
    struct sip_uri_shape uri_shape; /* of a request without fault, otherwise only scheme is set: "" */
    unsigned code;                  /* status code 100 .. 699 */
    struct slice reason;
    uint16_t first_line_end; /* where the header lines begin */
    uint16_t head_end;       /* where the body begins */
    struct slice body;
    /* parsed once, since everything needs them */
    struct sip_via_view via;
    struct slice from_tag; /* "" when absent */
    struct slice to_tag;
    struct slice call_id;
    uint32_t cseq;
    int max_forwards; /* -1 when absent, else 0 .. 255 */
    uint8_t line_count;
    uint8_t first[SIP_HEADER_COUNT]; /* index of the first line of an id, SIP_NO_LINE: none */
    uint8_t last[SIP_HEADER_COUNT];
    struct sip_line lines[SIP_LINES_MAX + SIP_LINES_OURS];
};

/* Datagram form: the message is data[0 .. len). On a fault the fields found so far are set as far as the answer needs
 * them: via is valid unless the fault is FIRST_LINE or VIA; *answerable (may be NULL) says whether a response can be
 * built at all (never for ACK and responses). More than LIMIT_SIP_MESSAGE bytes are SIP_FAULT_TOO_LARGE. Lines that are
 * malformed in themselves are left out of the index, so that an answer never repeats them. v->len is without meaning on
 * a fault. */
enum sip_fault sip_view_parse(struct sip_view *v, const char *data, size_t len, bool *answerable);
/* A message that was taken in before, from a datagram or a stream, or made of such a one: up to LIMIT_SIP_HARD bytes,
 * and with room for the lines, Via values and parameters that were added. */
enum sip_fault sip_view_parse_kept(struct sip_view *v, const char *data, size_t len);
/* Stream form: as above for the message at the start of data; Content-Length is mandatory. SIP_FAULT_INCOMPLETE: more
 * bytes are needed (leading CRLF keep-alives are not skipped here). On success v->len is what the message took.
 * size_max (at most LIMIT_SIP_HARD) caps it. On a fault v->len is what the message took where its frame is known, so
 * that the stream can go on behind it, and 0 where the frame is lost and the connection must be closed. */
enum sip_fault sip_view_parse_stream(struct sip_view *v, const char *data, size_t len, size_t size_max,
                                     bool *answerable);

static inline struct slice sip_line_value(const struct sip_view *v, unsigned i)
{
    return (struct slice){v->data + v->lines[i].value, v->lines[i].value_len};
}
/* Value of the first line of id; {NULL, 0} when there is none. */
struct slice sip_view_value(const struct sip_view *v, enum sip_header id);
/* Name of a line that has no id of its own, to find an extension header: value of the first line called name (any
 * case). */
struct slice sip_view_other(const struct sip_view *v, struct slice name);

#endif
