/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a parsed packet to its flow, and from a closed window to its result. */
#ifndef FLOW_H
#define FLOW_H

#include "maps.h"
#include "merged.h"
#include "parse.h"
#include "plain.h"
#include "window.h"
#include "model.h"

/* Which end is the client's: exactly one inside the prefix. */
enum told { UNTOLD, SENDER, RECEIVER };

static __always_inline enum told tell_client(const struct packet *packet)
{
	__be32 mask = config.mask_4, wanted = config.client_4, sender, receiver;
	int k;

	sender = (packet->key.client & mask) ^ wanted;
	receiver = (packet->key.server & mask) ^ wanted;
	if (packet->key.version == 6) {
		sender = receiver = 0;
#pragma unroll
		for (k = 0; k < 4; k++) {
			mask = config.mask_6[k];
			wanted = config.client_6[k];
			sender |= (packet->ends.client[k] & mask) ^ wanted;
			receiver |= (packet->ends.server[k] & mask) ^ wanted;
		}
	}
	if (!sender)
		return receiver ? SENDER : UNTOLD;
	return receiver ? UNTOLD : RECEIVER;
}

/* Whether the sender stands first in the map; any order will do that both directions agree on. */
static __always_inline int in_order(const struct packet *packet)
{
	int k;

	if (packet->key.client != packet->key.server)
		return packet->key.client < packet->key.server;
#pragma unroll
	for (k = 0; k < 4 && packet->key.version == 6; k++) {
		if (packet->ends.client[k] != packet->ends.server[k])
			return packet->ends.client[k] < packet->ends.server[k];
	}
	return packet->key.ports[0] <= packet->key.ports[1];
}

static __always_inline void turn_ends(struct ends *ends)
{
	__be32 word;
	int k;

#pragma unroll
	for (k = 0; k < 4; k++) {
		word = ends->client[k];
		ends->client[k] = ends->server[k];
		ends->server[k] = word;
	}
}

static __always_inline void turn(struct packet *packet)
{
	__be32 client = packet->key.client;
	__be16 port = packet->key.ports[0];

	packet->key.client = packet->key.server;
	packet->key.server = client;
	packet->key.ports[0] = packet->key.ports[1];
	packet->key.ports[1] = port;
	if (packet->key.version == 6)
		turn_ends(&packet->ends);
}

/* Put the client's end first, or else that which is first in order; return whether the sender is there. */
static __always_inline int arrange(struct packet *packet)
{
	enum told told = tell_client(packet);

	if (told == SENDER || (told == UNTOLD && in_order(packet)))
		return 1;
	turn(packet);
	return 0;
}

static __always_inline int have_same_ends(const struct ends *one, const struct ends *other)
{
	__be32 unlike = 0;
	int k;

#pragma unroll
	for (k = 0; k < 4; k++)
		unlike |= (one->client[k] ^ other->client[k]) | (one->server[k] ^ other->server[k]);
	return !unlike;
}

/* Open a flow; NULL where the map takes none. forward: the packet's sender stands first in the map. */
static __always_inline struct flow *open_flow(const struct packet *packet, int forward, struct counters *counts)
{
	__u32 zero = 0;
	struct flow *empty = bpf_map_lookup_elem(&blank, &zero);

	if (!empty)
		return NULL;
	empty->turned = !forward && tell_client(packet) == UNTOLD;
	if (packet->key.version == 6)
		empty->ends = packet->ends;
	else
		__builtin_memset(&empty->ends, 0, sizeof(empty->ends));
	/* Where another CPU was faster, its flow is the one. */
	if (!bpf_map_update_elem(&flows, &packet->key, empty, BPF_NOEXIST))
		counts->opened++;
	return bpf_map_lookup_elem(&flows, &packet->key);
}

/* What a flow is called outside of the map. */
static __always_inline void name_flow(struct flow_key *name, const struct short_key *key, const struct flow *flow)
{
	const __be32 *client = flow->ends.client, *server = flow->ends.server;
	int k;

#pragma unroll
	for (k = 0; k < 4; k++) {
		name->client[k] = flow->turned ? server[k] : client[k];
		name->server[k] = flow->turned ? client[k] : server[k];
	}
	if (key->version == 4) {
		name->client[0] = flow->turned ? key->server : key->client;
		name->server[0] = flow->turned ? key->client : key->server;
	}
	name->ports[0] = key->ports[flow->turned & 1];
	name->ports[1] = key->ports[!(flow->turned & 1)];
	name->protocol = key->protocol;
	name->version = key->version;
	name->padding = 0;
}

/* Write out the flow's window `window`, let the model judge it, and queue the result. */
static __always_inline void publish(const struct short_key *key, const struct flow *flow, __u32 window,
				    struct counters *counts)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&scratch, &zero);

	if (!record)
		return;
	name_flow(&record->result.key, key, flow);
	write_row(flow, window, record->row);
	record->result.window = window;
	record->result.down_bytes = record->row[DOWN_BYTES];
	record->result.score = 0;
	record->result.label = 0;
	record->result.kind = 0;
	record->result.slot = 0;
	infer(record);
	counts->closed++;
	if (!bpf_map_push_elem(&results, record, 0))
		return;
	if (bpf_map_push_elem(&results, record, BPF_EXIST))
		counts->unpublished++;
	else
		counts->overwritten++;
}

/*
 * Move a half past its window's end to the window that the packet is in; publish the flow's window if that closes it. What
 * the verifier knows of both windows is forgotten, so that it follows the model once, and not for each way there.
 */
static __always_inline void enter_window(struct local *local, struct flow *flow, struct half *own,
					 const struct half *other, int up)
{
	__u32 zero = 0, newest = forget(local, most(own->window, other->window)), index;
	struct clock *times = bpf_map_lookup_elem(&clock, &zero);

	if (!times)
		return;
	index = forget(local, most(window_at(times, local->packet.ns), newest));
	if (index > newest && (own->window_end | other->window_end))
		publish(&local->packet.key, flow, newest, &local->counters);
	own->window = index;
	own->window_end = times->epoch + (__u64)(index + 1 - times->index) * times->window;
	clear_half(own);
#if LEVEL >= 4
	if (up)
		flow->requests.requests = 0;
	else
		clear_segments(&flow->segments);
#endif
}

static __always_inline __u64 read_time(void)
{
	__u32 zero = 0;
	struct clock *times;
	__u64 now;

	if (!config.replay)
		return bpf_ktime_get_ns();
	times = bpf_map_lookup_elem(&clock, &zero);
	if (!times)
		return 0;
	now = times->now;
	times->now += times->step;
	return now;
}

/* Account for the packet that stands in `local`. */
static __always_inline void account(struct local *local)
{
	struct packet *packet = &local->packet;
	struct counters *counts = &local->counters;
	struct flow *flow;
	struct half *own, *other;
	int forward, up, opening;
	__u64 place;

	/* What follows reads the packet from memory, so that the verifier looks at it once, and not for each way there. */
	asm volatile("" ::: "memory");
	counts->seen += packet->ahead + 1;
	packet->ns = read_time();
	if (packet->skip != SKIP_NONE) {
		counts->skipped[packet->skip & (SKIPS - 1)] += packet->ahead + 1;
		return;
	}
	forward = arrange(packet);
	flow = bpf_map_lookup_elem(&flows, &packet->key);
	if (!flow)
		flow = open_flow(packet, forward, counts);
	if (!flow) {
		counts->skipped[SKIP_NO_ROOM] += packet->ahead + 1;
		return;
	}
	if (packet->key.version == 6 && !have_same_ends(&flow->ends, &packet->ends)) {
		counts->skipped[SKIP_CLASH] += packet->ahead + 1;
		return;
	}
	/* Without branches, so that the verifier follows all that comes for both directions at once. */
	up = whole(forward ^ flow->turned) & 1;
	place = (up - 1) & sizeof(struct half);
	own = (void *)flow + place;
	other = (void *)flow + (place ^ sizeof(struct half));
	opening = 0;
	if (packet->ns >= own->window_end || own->window < other->window) {
		opening = forget(local, own->window_end == 0);
		enter_window(local, flow, own, other, up);
	}
	if (packet->ahead) {
		count_packets(local, flow, own, other, up, opening, packet->ahead);
		counts->accounted += packet->ahead;
		turn_to_last(packet);
		opening = 0;
	}
	count_packets(local, flow, own, other, up, opening, 1);
	counts->accounted++;
}

/* Publish a flow's open window and forget the flow. */
static __always_inline void close(const struct short_key *key, struct counters *counts)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return;
	publish(key, flow, most(flow->up.window, flow->down.window), counts);
	bpf_map_delete_elem(&flows, key);
}

#endif
