/* block: sixteen bytes of text looked at together, so that a search takes a few instructions for all of them.
 *
 * A mask has bit i for byte i. Nothing is read but p[0 .. BLOCK): who has less left looks at single bytes. Any
 * processor of the x86-64 family has SSE2; others, and tests with SIP_BLOCK_PORTABLE, take two words of eight bytes.
 * Internal to node/sip. */
#ifndef TANDEM_SIP_BLOCK_H
#define TANDEM_SIP_BLOCK_H

#include <stdint.h>
#include <string.h>

#define BLOCK 16

#if defined(__SSE2__) && !defined(SIP_BLOCK_PORTABLE)

#include <emmintrin.h>

static inline unsigned block_equal(const char *p, char c)
{
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8(c)));
}

/* Bytes up to last, unsigned. */
static inline unsigned block_upto(const char *p, char last)
{
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(text, _mm_set1_epi8(last)), text));
}

/* Bytes that, with the bits of fold set, are not those at known. */
static inline unsigned block_unlike(const char *p, char fold, const char *known)
{
    __m128i text = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8(fold));
    __m128i same = _mm_cmpeq_epi8(text, _mm_loadu_si128((const __m128i *)(const void *)known));
    return (unsigned)_mm_movemask_epi8(same) ^ 0xffffU;
}

#else

#define BLOCK_ONES UINT64_C(0x0101010101010101)

static inline uint64_t block_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* Bit 8 i + 7 to bit i: each of the eight ends in the top byte of the product, and no two meet. */
static inline unsigned block_bits(uint64_t tops)
{
    return (unsigned)(((tops >> 7) * UINT64_C(0x0102040810204080)) >> 56);
}

/* Bytes of the word up to last, which is below 0x80: adding what is missing to 0x80 carries into no other byte. */
static inline unsigned block_word_upto(uint64_t w, char last)
{
    uint64_t low = (w & (BLOCK_ONES * 0x7f)) + BLOCK_ONES * (0x7fU - (unsigned)last);
    return block_bits(~(low | w) & (BLOCK_ONES * 0x80));
}

static inline unsigned block_upto(const char *p, char last)
{
    return block_word_upto(block_word(p), last) | block_word_upto(block_word(p + 8), last) << 8;
}

static inline unsigned block_equal(const char *p, char c)
{
    uint64_t all = BLOCK_ONES * (unsigned char)c;
    return block_word_upto(block_word(p) ^ all, 0) | block_word_upto(block_word(p + 8) ^ all, 0) << 8;
}

static inline unsigned block_unlike(const char *p, char fold, const char *known)
{
    uint64_t all = BLOCK_ONES * (unsigned char)fold;
    uint64_t a = (block_word(p) | all) ^ block_word(known);
    uint64_t b = (block_word(p + 8) | all) ^ block_word(known + 8);
    return (block_word_upto(a, 0) | block_word_upto(b, 0) << 8) ^ 0xffffU;
}

#endif

/* The lowest bit that is set, as an offset; mask is not 0. */
static inline unsigned block_first(unsigned mask)
{
    return (unsigned)__builtin_ctz(mask);
}

#endif
