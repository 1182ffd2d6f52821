/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet adds to its flow: the same machine as benchmark/quality, set by set. Where several of the wire's were
 * merged (GRO, TSO), `times` of them count at once: one after the other, at one time, all of one size.
 */
#ifndef FEATURES_H
#define FEATURES_H

#include "abi.h"
#include "arithmetic.h"
#include "parse.h"

#define TICK_SHIFT 10
#define BURST_TICKS 29297   /* 30 ms, rounded up */
#define REQUEST_TICKS 48829 /* 50 ms, rounded up */
#define REQUEST_BYTES 60
#define TCP_REQUEST_BYTES 47 /* more than any control frame of HTTP/2 takes in a record of TLS */
#define FRAME_BYTES 298 /* VCAML's UDP length of 306, less the header */
#define FRAME_SLACK 2

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

#if LEVEL >= 3
/* How many of the packets that end at `end` are no news where `next` is awaited. */
static __always_inline __u32 count_old(const struct packet *packet, __u32 next, __u32 end, __u32 times)
{
	if ((__s32)(packet->seq - next) > 0)
		return (__s32)(end - (times - 1) * packet->size - next) > 0 ? 0 : times;
	if ((__s32)(end - next) <= 0)
		return times;
	return times == 1 ? 0 : (next - packet->seq) / packet->size;
}

static __always_inline void follow_sequence(struct half *own, const struct packet *packet, int opening, __u32 times)
{
	__u32 flags = packet->flags, taken = times * packet->size, end, old;

	if (flags & PSH)
		own->pushes = more(own->pushes, 1);
	if (flags & (SYN | FIN))
		taken += (flags >> 1 & 1) + (flags & 1);
	else if (!taken && (flags & (ACK | RST)) == ACK && !opening && packet->ack == own->last_ack)
		own->repeated_acks = more(own->repeated_acks, 1);
	if (flags & ACK)
		own->last_ack = packet->ack;
	if (!taken)
		return;
	end = packet->seq + taken;
	if (opening) {
		own->next_seq = end;
		return;
	}
	if ((__s32)(packet->seq - own->next_seq) > 0)
		own->holes = more(own->holes, 1);
	old = count_old(packet, own->next_seq, end, times);
	if (old < times)
		own->next_seq = end;
	if (old && packet->size)
		own->retransmits = more(own->retransmits, old);
}

/* Round trips from a TSval to its echo (RFC 7323); `own` measures those that `other` noted. */
static __always_inline void follow_timestamps(struct half *own, const struct half *other, const struct packet *packet,
					      __u32 size, __u32 tick)
{
	if (packet->flags & ACK && other->probe != own->answered) {
		__s32 past = packet->ts_echo - other->probe_value;

		if (past == 0) {
			__u32 trip = elapsed(tick, other->probe_tick);

			own->rtt_samples = more(own->rtt_samples, 1);
			own->rtt_sum += trip;
			own->rtt_min = least(own->rtt_min, trip);
			own->rtt_max = most(own->rtt_max, trip);
		}
		if (past >= 0)
			own->answered = other->probe;
	}
	if (size && own->probe == other->answered && packet->ts_value != own->probe_value) {
		own->probe_value = packet->ts_value;
		own->probe_tick = tick;
		own->probe++;
	}
}
#endif

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
