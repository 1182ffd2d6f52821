/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What TCP's headers tell of a flow, for F3: retransmissions, holes, and round trips by timestamps. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "abi.h"
#include "arithmetic.h"
#include "headers.h"

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

#endif
