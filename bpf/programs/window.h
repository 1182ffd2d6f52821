/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Windows: which one an instant falls in, what a half keeps when it enters one, and a closed one's row of features. */
#ifndef WINDOW_H
#define WINDOW_H

#include "abi.h"
#include "arithmetic.h"
#include "features.h"

/* Index of the window that an instant falls in, by one 32-bit division; the clock's own for earlier instants. */
static __always_inline __u32 window_at(const struct clock *clock, __u64 ns)
{
	__u64 since;
	__u32 units;

	if (ns < clock->epoch || !clock->units)
		return clock->index;
	since = (ns - clock->epoch) >> (clock->shift & 63);
	units = since > 0xFFFFFFFF ? 0xFFFFFFFF : since;
	return clock->index + units / clock->units;
}

static __always_inline void clear_half(struct half *own)
{
	own->packets = own->bytes = 0;
#if LEVEL >= 1
	own->data = own->payload = own->size_squares = 0;
	own->size_min = 0xFFFF;
	own->size_max = 0;
	__builtin_memset(own->size_bins, 0, sizeof(own->size_bins));
#endif
#if LEVEL >= 2
	own->gap_sum = own->gap_squares = own->gap_max = 0;
	own->gap_min = 0xFFFFFFFF;
	own->bursts = 0;
	__builtin_memset(own->gap_bins, 0, sizeof(own->gap_bins));
#endif
#if LEVEL >= 3
	own->pushes = own->repeated_acks = own->retransmits = own->holes = own->rtt_samples = 0;
	own->rtt_sum = own->rtt_max = 0;
	own->rtt_min = 0xFFFFFFFF;
#endif
#if LEVEL >= 5
	own->unique = 0;
	__builtin_memset(own->size_map, 0, sizeof(own->size_map));
#endif
}

#if LEVEL >= 4
static __always_inline void clear_segments(struct segments *down)
{
	down->segments = 0;
	down->bytes = down->size_max = down->time = down->time_max = down->rate_sum = down->idle = 0;
	__builtin_memset(down->bins, 0, sizeof(down->bins));
	down->frames = 0;
	down->frame_bytes = down->frame_max = down->frame_gap_squares = down->frame_gap_max = 0;
#if LEVEL >= 5
	down->ring_next = 0;
#endif
}

static __always_inline void write_segments(const struct segments *down, __u32 end, __u32 *row)
{
	int k;

	row[0] = down->segments;
	row[1] = down->bytes;
	row[2] = mean(down->bytes, down->segments);
	row[3] = down->size_max;
	row[4] = down->size_last;
	row[5] = down->open;
	row[6] = down->time;
	row[7] = down->time_max;
	row[8] = mean(down->rate_sum, down->segments);
	row[9] = down->idle;
	row[10] = down->open ? elapsed(end, down->last) : 0;
#pragma unroll
	for (k = 0; k < SEGMENT_BINS; k++)
		row[11 + k] = down->bins[k];
	row += 11 + SEGMENT_BINS;
	row[0] = down->frames;
	row[1] = down->frame_bytes;
	row[2] = mean(down->frame_bytes, down->frames);
	row[3] = down->frame_max;
	row[4] = down->frame_gap_squares;
	row[5] = down->frame_gap_max;
}
#endif

#if LEVEL >= 5
/* The window's last segments, newest first: all sizes, then all intervals. */
static __always_inline void write_ring(const struct segments *down, __u32 *row)
{
	__u64 place = down->ring_next; /* wide, so that the verifier follows its bound whatever instructions there are */
	__u32 k;

	for (k = 0; k < RING; k++) {
		if (k >= down->segments)
			return;
		/* The mask changes nothing, and is what kernels before 6.5 see the bound by. */
		place = (place == 0 ? RING - 1 : place - 1) & 15;
		if (place >= RING)
			return;
		row[k] = down->ring_bytes[place];
		row[RING + k] = down->ring_gap[place];
	}
}
#endif

/* Write one direction's features of every set, each set's where its columns begin; up's stand ahead of down's. */
static __always_inline void write_half(const struct half *own, __u32 *row, int down)
{
	__u32 *at = row + down * COLUMNS_0;
#if LEVEL >= 1
	int k;
#endif

	at[0] = own->packets;
	at[1] = own->bytes;
#if LEVEL >= 1
	at = row + 2 * COLUMNS_0 + down * COLUMNS_1;
	at[0] = own->data;
	at[1] = own->payload;
	at[2] = mean(own->payload, own->data);
	at[3] = own->size_squares;
	at[4] = own->data ? own->size_min : 0;
	at[5] = own->size_max;
#pragma unroll
	for (k = 0; k < SIZE_BINS; k++)
		at[6 + k] = own->size_bins[k];
#endif
#if LEVEL >= 2
	at = row + 2 * (COLUMNS_0 + COLUMNS_1) + down * COLUMNS_2;
	at[0] = own->gap_sum;
	at[1] = mean(own->gap_sum, own->packets);
	at[2] = own->gap_squares;
	at[3] = own->gap_min != 0xFFFFFFFF ? own->gap_min : 0;
	at[4] = own->gap_max;
	at[5] = own->bursts;
#pragma unroll
	for (k = 0; k < GAP_BINS; k++)
		at[6 + k] = own->gap_bins[k];
#endif
#if LEVEL >= 3
	at = row + 2 * (COLUMNS_0 + COLUMNS_1 + COLUMNS_2) + down * COLUMNS_3;
	at[0] = own->pushes;
	at[1] = own->repeated_acks;
	at[2] = own->retransmits;
	at[3] = own->holes;
	at[4] = own->rtt_samples;
	at[5] = mean(own->rtt_sum, own->rtt_samples);
	at[6] = own->rtt_samples ? own->rtt_min : 0;
	at[7] = own->rtt_max;
#endif
#if LEVEL >= 5
	row[2 * (COLUMNS_0 + COLUMNS_1 + COLUMNS_2 + COLUMNS_3) + COLUMNS_4 + down] = own->unique;
#endif
}

/* Write the features of the flow's window `window`; halves that aren't in it stay zero. */
static __always_inline void write_row(const struct flow *flow, __u32 window, __u32 *row)
{
#if LEVEL >= 4
	__u32 *both = row + 2 * (COLUMNS_0 + COLUMNS_1 + COLUMNS_2 + COLUMNS_3);
#endif

	__builtin_memset(row, 0, FEATURES * sizeof(*row));
	if (flow->up.window == window) {
		write_half(&flow->up, row, 0);
#if LEVEL >= 4
		both[0] = flow->requests.requests;
#endif
	}
	if (flow->down.window == window) {
		write_half(&flow->down, row, 1);
#if LEVEL >= 4
		write_segments(&flow->segments, flow->down.window_end >> TICK_SHIFT, both + 1);
#endif
#if LEVEL >= 5
		write_ring(&flow->segments, both + COLUMNS_4 + 2);
#endif
	}
}

#endif
