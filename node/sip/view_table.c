/* view_table: the names of methods and faults. */
#include "node/sip/view_parts.h"

static const char *const method_names[SIP_METHOD_OTHER] = {
    [SIP_INVITE] = "INVITE",     [SIP_ACK] = "ACK",         [SIP_BYE] = "BYE",     [SIP_CANCEL] = "CANCEL",
    [SIP_REGISTER] = "REGISTER", [SIP_OPTIONS] = "OPTIONS", [SIP_PRACK] = "PRACK", [SIP_SUBSCRIBE] = "SUBSCRIBE",
    [SIP_NOTIFY] = "NOTIFY",     [SIP_PUBLISH] = "PUBLISH", [SIP_INFO] = "INFO",   [SIP_REFER] = "REFER",
    [SIP_MESSAGE] = "MESSAGE",   [SIP_UPDATE] = "UPDATE",
};

const char *sip_method_name(enum sip_method m)
{
    return (unsigned)m < SIP_METHOD_OTHER ? method_names[m] : "OTHER";
}

enum sip_method sip_method_of(struct slice name)
{
    for (unsigned m = 0; m < SIP_METHOD_OTHER; m++) {
        if (name.n > 0 && name.p[0] == method_names[m][0] && slice_is(name, method_names[m])) return (enum sip_method)m;
    }
    return SIP_METHOD_OTHER;
}

static const struct {
    const char *name;
    unsigned answer;
} faults[SIP_FAULT_COUNT] = {
    [SIP_FAULT_NONE] = {"none", 0},
    [SIP_FAULT_TOO_LARGE] = {"too_large", 513},
    [SIP_FAULT_FIRST_LINE] = {"first_line", 0},
    [SIP_FAULT_VERSION] = {"version", 505},
    [SIP_FAULT_LINE] = {"line", 400},
    [SIP_FAULT_TOO_MANY] = {"too_many", 400},
    [SIP_FAULT_LINE_TOO_LONG] = {"line_too_long", 400},
    [SIP_FAULT_MISSING] = {"missing", 400},
    [SIP_FAULT_DUPLICATE] = {"duplicate", 400},
    [SIP_FAULT_VIA] = {"via", 0},
    [SIP_FAULT_VALUE] = {"value", 400},
    [SIP_FAULT_CSEQ] = {"cseq", 400},
    [SIP_FAULT_URI] = {"uri", 400},
    [SIP_FAULT_LENGTH] = {"length", 400},
    [SIP_FAULT_INCOMPLETE] = {"incomplete", 0},
};

const char *sip_fault_name(enum sip_fault f)
{
    return (unsigned)f < SIP_FAULT_COUNT ? faults[f].name : "unknown";
}

unsigned sip_fault_answer(enum sip_fault f)
{
    return (unsigned)f < SIP_FAULT_COUNT ? faults[f].answer : 0;
}
