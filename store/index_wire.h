/* index_wire: the numbers of an index block's bytes, for those who read and who write them. See index_block.h. */
#ifndef TANDEM_STORE_INDEX_WIRE_H
#define TANDEM_STORE_INDEX_WIRE_H

#include "store/env.h"

#define INDEX_HEAD 2      /* width, stem length */
#define INDEX_FORM_HEAD 8 /* lengths of head, tail and packed */

#define INDEX_FROM_ACCOUNT 1
#define INDEX_IS_RANGE 2

/* Without get_be's loop: every step of a search asks. */
static inline size_t wire_offset(const char *p, unsigned width)
{
    const unsigned char *u = (const unsigned char *)p;
    if (width == 2) return (size_t)u[0] << 8 | u[1];
    return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
}

#endif
