/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One packet that the kernel merged out of several of the wire's (GRO), or has yet to cut up (TSO). */
#ifndef MERGED_H
#define MERGED_H

#include "arithmetic.h"
#include "headers.h"
#include "maps.h"

/*
 * Say how many of the wire's packets were merged into one with `size` bytes of payload in each but the last. `segments` is
 * what the kernel counted; where it doesn't fit the payload (untrusted senders leave it 0), the payload tells.
 * Segmentation leaves FIN and PSH to the last, and a SYN is taken for that one's.
 */
static __always_inline void split(struct packet *packet, __u32 segments, __u32 size)
{
	__u32 payload = packet->size, header = packet->bytes - payload, ahead;

	if (payload <= size) {
		packet->size = least(payload, 0xFFFF);
		return;
	}
	if (!segments || segments > 0xFFFF || (segments - 1) * size >= payload || payload > segments * size)
		segments = (payload + size - 1) / size;
	ahead = segments - 1;
	packet->ahead = ahead;
	packet->size = least(size, 0xFFFF);
	packet->bytes = ahead * (header + size);
	packet->last_size = payload - ahead * size;
	packet->last_bytes = header + packet->last_size;
	packet->last_flags = packet->flags;
	packet->flags &= ~(SYN | FIN | PSH);
}

/* Have the last one of merged packets be counted. */
static __always_inline void turn_to_last(struct packet *packet)
{
	packet->seq += packet->ahead * packet->size;
	packet->size = packet->last_size;
	packet->bytes = packet->last_bytes;
	packet->flags = packet->last_flags;
}

#endif
