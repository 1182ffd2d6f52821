/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network order to the order of the machine that the object is built for, and words that may not be aligned. */
#ifndef ENDIAN_H
#define ENDIAN_H

#include <linux/types.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define from_be16(value) __builtin_bswap16(value)
#define from_be32(value) __builtin_bswap32(value)
#else
#define from_be16(value) (value)
#define from_be32(value) (value)
#endif
#define to_be16 from_be16
#define to_be32 from_be32

/*
 * 32 bits of a packet. IP headers are aligned to 4 bytes where drivers care, but not under XDP, which may see them at 2
 * modulo 4: machines that trap there (MIPS) want STRICT_ALIGNMENT.
 */
#ifdef STRICT_ALIGNMENT
struct word {
	__be16 half[2];
};

static __always_inline __be32 raw_32(const struct word *at)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return at->half[0] | (__u32)at->half[1] << 16;
#else
	return (__u32)at->half[0] << 16 | at->half[1];
#endif
}
#else
struct word {
	__be32 value;
};

static __always_inline __be32 raw_32(const struct word *at)
{
	return at->value;
}
#endif

static __always_inline __u32 read_32(const struct word *at)
{
	return from_be32(raw_32(at));
}

#endif
