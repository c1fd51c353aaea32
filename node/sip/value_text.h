/* value_text: how header text reaches libosip2 and comes back. Internal to node/sip. */
#ifndef TANDEM_SIP_VALUE_TEXT_H
#define TANDEM_SIP_VALUE_TEXT_H

#include "node/sip/value.h"

/* A copy of text that ends in NUL, with folds turned into spaces. ERR_LIMIT over SIP_VALUE_MAX, ERR_SYNTAX when it
 * holds a NUL. */
MUST_CHECK enum err sip_value_text(struct slice text, char out[SIP_VALUE_MAX + 1]);
/* A libosip2 string (may be NULL) into the arena; false when memory is out. */
bool sip_value_keep(struct arena *arena, const char *text, struct slice *out);
/* OSIP_* numbers to ours. */
enum err sip_value_err(int osip);

#endif
