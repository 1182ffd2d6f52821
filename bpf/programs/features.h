/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet adds to its flow: the same machine as benchmark/quality, set by set. A packet that merges several of the
 * wire's (GRO, TSO) counts as those: `segments` packets at one time, all of `segment_size` payload but the last.
 */
#ifndef FEATURES_H
#define FEATURES_H

#include "abi.h"
#include "arithmetic.h"
#include "parse.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define TICK_SHIFT 10
#define BURST_TICKS 29297   /* 30 ms, rounded up */
#define REQUEST_TICKS 48829 /* 50 ms, rounded up */
#define REQUEST_BYTES 60
#define TCP_REQUEST_BYTES 47 /* more than any control frame of HTTP/2 takes in a record of TLS */
#define FRAME_BYTES 298 /* VCAML's UDP length of 306, less the header */
#define FRAME_SLACK 2
#define SPREAD 0x9E3779B1U /* multiplicative hashing by the golden ratio of 2^32 */

#if LEVEL >= 1
static __always_inline void count_size(struct local *local, struct half *own, __u32 size, __u32 times)
{
	__u32 place = 0, looked = forget(local, size);

	/* Large ones are the most frequent: look from above. */
	if (looked) {
#pragma unroll
		for (place = SIZE_BINS - 1; place > 1; place--) {
			if (looked >= 32U << (place - 1))
				break;
		}
	}
	place = forget(local, place) & (SIZE_BINS - 1);
	own->size_bins[place] = more(own->size_bins[place], times);
	if (!size)
		return;
	own->data += times;
	own->payload += times * size;
	own->size_squares += times * ((size * size) >> 10);
	own->size_min = least(own->size_min, size);
	own->size_max = most(own->size_max, size);
}
#endif

#if LEVEL >= 2
static __always_inline void count_gap(struct local *local, struct half *own, __u32 tick, int opening,
				      __u32 merged)
{
	__u32 gap = elapsed(tick, own->last), place, looked;

	own->last = tick;
	if (merged) {
		own->gap_bins[0] = more(own->gap_bins[0], merged);
		own->gap_min = 0;
	}
	if (opening)
		return;
	/* Small ones are the most frequent: look from below. */
	looked = forget(local, gap);
#pragma unroll
	for (place = 0; place < GAP_BINS - 1; place++) {
		if (looked < 32U << (2 * place))
			break;
	}
	place = forget(local, place);
	if (place < GAP_BINS)
		own->gap_bins[place] = more(own->gap_bins[place], 1);
	own->gap_sum += gap;
	own->gap_squares += square(gap);
	own->gap_min = least(own->gap_min, gap);
	own->gap_max = most(own->gap_max, gap);
	if (gap >= BURST_TICKS)
		own->bursts = more(own->bursts, 1);
}
#endif

#if LEVEL >= 3
/* How many of the packets merged into one end at or before `next`, where the first doesn't begin past it. */
static __always_inline __u32 count_old(const struct packet *packet, __u32 next, __u32 end)
{
	if ((__s32)(end - next) <= 0)
		return packet->segments;
	if (packet->segments == 1)
		return 0;
	return least((next - packet->seq) / packet->segment_size, packet->segments - 1);
}

/* A SYN among merged packets is taken for the last one's, where segmentation leaves FIN and PSH. */
static __always_inline void follow_sequence(struct half *own, const struct packet *packet, __u32 size, int opening)
{
	__u32 flags = packet->flags, taken = size, end, first, old;

	if (flags & PSH)
		own->pushes = more(own->pushes, 1);
	if (flags & (SYN | FIN))
		taken += (flags >> 1 & 1) + (flags & 1);
	else if (!size && (flags & (ACK | RST)) == ACK && !opening && packet->ack == own->last_ack)
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
	if ((__s32)(packet->seq - own->next_seq) > 0) {
		own->holes = more(own->holes, 1);
		first = packet->segments > 1 ? packet->seq + packet->segment_size : end;
		old = (__s32)(first - own->next_seq) > 0 ? 0 : packet->segments;
	} else {
		old = count_old(packet, own->next_seq, end);
	}
	if (old < packet->segments)
		own->next_seq = end;
	if (old && size)
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

/* Count a packet in its half, which stands in the packet's window. opening: nothing is kept in the half yet. */
static __always_inline void count_packet(struct local *local, struct flow *flow, struct half *own, const struct half *other,
					 int up, int opening)
{
	const struct packet *packet = &local->packet;
#if LEVEL >= 1
	__u32 merged = packet->segments - 1;
	__u32 each = packet->segment_size, rest = packet->last_size;
#endif
#if LEVEL >= 2
	__u32 tick = packet->ns >> TICK_SHIFT;
#endif
#if LEVEL >= 3
	__u32 size = merged ? merged * each + rest : rest;
#endif

	own->packets += packet->segments;
	own->bytes += packet->bytes;
#if LEVEL >= 1
	if (merged)
		count_size(local, own, each, merged);
	count_size(local, own, rest, 1);
#endif
#if LEVEL >= 2
	count_gap(local, own, tick, opening, merged);
#endif
#if LEVEL >= 3
	if (packet->key.protocol == TCP) {
		follow_sequence(own, packet, size, opening);
		if (packet->has_ts)
			follow_timestamps(own, other, packet, size, tick);
	}
#endif
#if LEVEL >= 4
	if (up) {
		/* Of merged packets none is larger than the first, and no request follows another at one time. */
		follow_request(&flow->requests, tick, merged ? each : rest, packet->key.protocol == TCP);
	} else {
		follow_segment(local, &flow->segments, &flow->requests, tick, size);
		if (packet->key.protocol == UDP) {
			if (merged) {
				follow_frame(&flow->segments, tick, each);
				repeat_frame(&flow->segments, each, merged - 1);
			}
			follow_frame(&flow->segments, tick, rest);
		}
	}
#endif
#if LEVEL >= 5
	if (merged)
		mark_size(own, each);
	mark_size(own, rest);
#endif
}

#endif
