/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The integer arithmetic that features are made of: 32 bits throughout, division only where a window closes. */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include "abi.h"

#define SPREAD 0x9E3779B1U /* multiplicative hashing by the golden ratio of 2^32 */

/*
 * The same number, of which the verifier knows nothing any more. Else it would look at all that follows anew for every
 * value that a number can have, where that number is a place in memory.
 */
static __always_inline __u32 forget(struct local *local, __u32 number)
{
	volatile __u32 *oblivion = &local->oblivion;

	*oblivion = number;
	return *oblivion;
}

/* The same number, which the compiler takes for unknown: else it writes all that follows once for every value. */
static __always_inline __u64 whole(__u64 number)
{
	asm volatile("" : "+r"(number));
	return number;
}

static __always_inline __u32 least(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

static __always_inline __u32 most(__u32 a, __u32 b)
{
	return a > b ? a : b;
}

/*
 * Position of the highest set bit, from 1; 0 for 0. Without branches, each of which the verifier would follow to the
 * program's end: all bits below the highest are set, and then counted, by pairs, by fours and by bytes.
 */
static __always_inline __u32 bit_length(__u32 value)
{
	value |= value >> 1;
	value |= value >> 2;
	value |= value >> 4;
	value |= value >> 8;
	value |= value >> 16;
	value -= value >> 1 & 0x55555555;
	value = (value & 0x33333333) + (value >> 2 & 0x33333333);
	return ((value + (value >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24;
}

/* Eight times the binary logarithm, linear between powers of two, rounded down; 0 for 0. */
static __always_inline __u32 log2_eighths(__u32 value)
{
	__u32 top;

	if (!value)
		return 0;
	top = bit_length(value) - 1;
	return top << 3 | ((top >= 3 ? value >> (top - 3) : value << (3 - top)) & 7);
}

/* Ticks from `then` to `now`, which wrap; 0 where the clock ran backwards. */
static __always_inline __u32 elapsed(__u32 now, __u32 then)
{
	__u32 passed = now - then;

	return passed < 0x80000000 ? passed : 0;
}

/* Square of an interval in units of 1,024 ticks; intervals of 2^24 ticks or more count as 2^24 - 1. */
static __always_inline __u32 square(__u32 gap)
{
	__u32 units = least(gap, 0xFFFFFF) >> 10;

	return units * units;
}

/* Count `times` more on a 16-bit counter that stays at its maximum. */
static __always_inline __u16 more(__u16 counter, __u32 times)
{
	return least(counter + times, 0xFFFF);
}

static __always_inline __u32 mean(__u32 total, __u32 count)
{
	return count ? total / count : 0;
}

#endif
