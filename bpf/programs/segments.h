/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What requests, video segments and frames tell of a flow, for F4. */
#ifndef SEGMENTS_H
#define SEGMENTS_H

#include "abi.h"
#include "arithmetic.h"

#define REQUEST_TICKS 48829 /* 50 ms, rounded up */
#define REQUEST_BYTES 60
#define TCP_REQUEST_BYTES 47 /* more than any control frame of HTTP/2 takes in a record of TLS */
#define FRAME_BYTES 298 /* VCAML's UDP length of 306, less the header */
#define FRAME_SLACK 2

#if LEVEL >= 4
static __always_inline void follow_request(struct requests *up, __u32 tick, __u32 size, int over_tcp)
{
	if (size < (over_tcp ? TCP_REQUEST_BYTES : REQUEST_BYTES))
		return;
	if (up->number && elapsed(tick, up->tick) < REQUEST_TICKS)
		return;
	up->tick = tick;
	/* Number 0 is before the first request, so counting wraps to 1. */
	up->number = up->number == 0xFFFF ? 1 : up->number + 1;
	up->requests = more(up->requests, 1);
}

/* Count the running segment as complete; `request` is the tick of the one that ended it. */
static __always_inline void close_segment(struct local *local, struct segments *down, __u32 request)
{
	__u32 size = down->open, time = elapsed(down->last, down->start), place;

	down->segments = more(down->segments, 1);
	down->bytes += size;
	down->size_last = size;
	down->size_max = most(down->size_max, size);
	down->time += time;
	down->time_max = most(down->time_max, time);
	down->rate_sum += 256 + log2_eighths(size) - log2_eighths(time);
	down->idle += elapsed(request, down->last);
	place = forget(local, least(bit_length(size >> 12), SEGMENT_BINS - 1));
	if (place < SEGMENT_BINS && down->bins[place] < 0xFF)
		down->bins[place]++;
#if LEVEL >= 5
	place = down->ring_next;
	if (place < RING) {
		down->ring_bytes[place] = size;
		down->ring_gap[place] = elapsed(request, down->start);
	}
	down->ring_next = place + 1 >= RING ? 0 : place + 1;
#endif
}

static __always_inline void follow_segment(struct local *local, struct segments *down, const struct requests *up,
					   __u32 tick, __u32 bytes)
{
	if (!bytes)
		return;
	if (down->number != up->number) {
		if (down->number && down->open)
			close_segment(local, down, up->tick);
		down->number = up->number;
		down->start = up->tick;
		down->open = 0;
	}
	down->open += bytes;
	down->last = tick;
}

static __always_inline int alike(__u32 size, __u32 recent)
{
	return size + FRAME_SLACK >= recent && recent + FRAME_SLACK >= size;
}

static __always_inline void follow_frame(struct segments *down, __u32 tick, __u32 size)
{
	int same;

	if (size <= FRAME_BYTES)
		return;
	same = alike(size, down->recent[0]) || alike(size, down->recent[1]) || alike(size, down->recent[2]);
	down->recent[2] = down->recent[1];
	down->recent[1] = down->recent[0];
	down->recent[0] = size;
	down->frame_bytes += size;
	if (same) {
		down->frame_open += size;
		return;
	}
	if (down->frame_open) {
		__u32 gap = elapsed(tick, down->frame_tick);

		down->frame_gap_squares += square(gap);
		down->frame_gap_max = most(down->frame_gap_max, gap);
		down->frame_max = most(down->frame_max, down->frame_open);
	}
	down->frames = more(down->frames, 1);
	down->frame_tick = tick;
	down->frame_open = size;
}

/* Add `times` packets of a size that the last one had too: they go on with its frame. */
static __always_inline void repeat_frame(struct segments *down, __u32 size, __u32 times)
{
	if (size <= FRAME_BYTES || !times)
		return;
	down->recent[2] = times > 1 ? size : down->recent[1];
	down->recent[1] = down->recent[0];
	down->frame_bytes += times * size;
	down->frame_open += times * size;
}
#endif

#endif
