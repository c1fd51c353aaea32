/* view_table: the names of methods and faults. */
#include "node/sip/view_parts.h"

static const struct slice method_names[SIP_METHOD_OTHER] = {
    [SIP_INVITE] = {"INVITE", 6},     [SIP_ACK] = {"ACK", 3},
    [SIP_BYE] = {"BYE", 3},           [SIP_CANCEL] = {"CANCEL", 6},
    [SIP_REGISTER] = {"REGISTER", 8}, [SIP_OPTIONS] = {"OPTIONS", 7},
    [SIP_PRACK] = {"PRACK", 5},       [SIP_SUBSCRIBE] = {"SUBSCRIBE", 9},
    [SIP_NOTIFY] = {"NOTIFY", 6},     [SIP_PUBLISH] = {"PUBLISH", 7},
    [SIP_INFO] = {"INFO", 4},         [SIP_REFER] = {"REFER", 5},
    [SIP_MESSAGE] = {"MESSAGE", 7},   [SIP_UPDATE] = {"UPDATE", 6},
};

const char *sip_method_name(enum sip_method m)
{
    return (unsigned)m < SIP_METHOD_OTHER ? method_names[m].p : "OTHER";
}

enum sip_method sip_method_of(struct slice name)
{
    unsigned m = 0;
    while (m < SIP_METHOD_OTHER && !slice_eq(name, method_names[m]))
        m++;
    return (enum sip_method)m;
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
