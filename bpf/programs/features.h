/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet adds to its flow: the same machine as benchmark/quality, set by set. Where several of the wire's were
 * merged (GRO, TSO), `times` of them count at once: one after the other, at one time, all of one size.
 */
#ifndef FEATURES_H
#define FEATURES_H

#include "abi.h"
#include "arithmetic.h"
#include "headers.h"
#include "segments.h"
#include "transport.h"

#define TICK_SHIFT 10
#define BURST_TICKS 29297 /* 30 ms, rounded up */

#if LEVEL >= 1
static __always_inline void count_size(const struct packet *packet, struct half *own, __u32 times)
{
	/* Read anew, so that what the verifier learns of this number doesn't divide all that follows. */
	__u64 place = 0;
	__u32 looked = *(const volatile __u32 *)&packet->size, size = packet->size;

	/* Large ones are the most frequent: look from above. */
	if (looked) {
#pragma unroll
		for (place = SIZE_BINS - 1; place > 1; place--) {
			if (looked >= 32U << (place - 1))
				break;
		}
	}
	place = whole(place);
	own->size_bins[place] = more(own->size_bins[place], times);
	if (!size)
		return;
	own->data += times;
	own->payload += times * size;
	own->size_squares += times * ((size * size) >> 10);
	if (size < own->size_min)
		own->size_min = size;
	if (size > own->size_max)
		own->size_max = size;
}
#endif

#if LEVEL >= 2
static __always_inline __u64 gap_place(__u32 gap)
{
	__u64 place;

	if (gap < 32U << 6) {
#pragma unroll
		for (place = 0; place < 3; place++) {
			if (gap < 32U << (2 * place))
				break;
		}
		return place;
	}
#pragma unroll
	for (place = 4; place < GAP_BINS - 1; place++) {
		if (gap < 32U << (2 * place))
			break;
	}
	return place;
}

static __always_inline void count_gap(struct local *local, struct half *own, __u32 tick, int opening, __u32 times)
{
	__u32 gap = elapsed(tick, own->last);
	__u64 place;

	own->last = tick;
	if (times > 1) {
		own->gap_bins[0] = more(own->gap_bins[0], times - 1);
		own->gap_min = 0;
	}
	if (opening)
		return;
	place = whole(gap_place(forget(local, gap)));
	own->gap_bins[place] = more(own->gap_bins[place], 1);
	own->gap_sum += gap;
	own->gap_squares += square(gap);
	if (gap < own->gap_min)
		own->gap_min = gap;
	if (gap > own->gap_max)
		own->gap_max = gap;
	if (gap >= BURST_TICKS)
		own->bursts = more(own->bursts, 1);
}
#endif

#if LEVEL >= 5
static __always_inline void mark_size(struct half *own, __u32 size)
{
	__u32 place, bit;

	if (!size)
		return;
	place = (size * SPREAD) >> 24;
	bit = 1U << (place & 31);
	if (own->size_map[(place >> 5) & 7] & bit)
		return;
	own->size_map[(place >> 5) & 7] |= bit;
	own->unique++;
}
#endif

/* Count packets in their half, which stands in their window. opening: nothing is kept in the half yet. */
static __always_inline void count_packets(struct local *local, struct flow *flow, struct half *own,
					  const struct half *other, int up, int opening, __u32 times)
{
	const struct packet *packet = &local->packet;
#if LEVEL >= 3
	__u32 size = packet->size;
#endif
#if LEVEL >= 2
	__u32 tick = packet->ns >> TICK_SHIFT;
#endif

	own->packets += times;
	own->bytes += packet->bytes;
#if LEVEL >= 1
	count_size(packet, own, times);
#endif
#if LEVEL >= 2
	count_gap(local, own, tick, opening, times);
#endif
#if LEVEL >= 3
	if (packet->key.protocol == TCP) {
		follow_sequence(own, packet, opening, times);
		if (packet->flags & HAS_TIMESTAMPS)
			follow_timestamps(own, other, packet, size, tick);
	}
#endif
#if LEVEL >= 4
	if (up) {
		follow_request(&flow->requests, tick, size, packet->key.protocol == TCP);
	} else {
		follow_segment(local, &flow->segments, &flow->requests, tick, times * size);
		if (packet->key.protocol == UDP) {
			follow_frame(&flow->segments, tick, size);
			repeat_frame(&flow->segments, size, times - 1);
		}
	}
#endif
#if LEVEL >= 5
	mark_size(own, size);
#endif
}

#endif
