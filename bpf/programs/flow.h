/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a parsed packet to its flow, and from a closed window to its result. */
#ifndef FLOW_H
#define FLOW_H

#include "maps.h"
#include "parse.h"
#include "plain.h"
#include "window.h"
#include "model.h"

#define UNTOLD -1

/* Whether the first end is the client, 1 or 0; UNTOLD where both ends lie in the prefix, or neither does. */
static __always_inline int tell_client(const struct flow_key *key)
{
	__be32 mask, wanted, first, second;
	int k;

	if (key->version != config.client_version)
		return UNTOLD;
	mask = config.client_mask[0];
	wanted = config.client[0];
	first = (key->client[0] & mask) ^ wanted;
	second = (key->server[0] & mask) ^ wanted;
	if (key->version == 6) {
#pragma unroll
		for (k = 1; k < 4; k++) {
			mask = config.client_mask[k];
			wanted = config.client[k];
			first |= (key->client[k] & mask) ^ wanted;
			second |= (key->server[k] & mask) ^ wanted;
		}
	}
	if (!first)
		return second ? 1 : UNTOLD;
	return second ? UNTOLD : 0;
}

static __always_inline __be32 swap_ports(__be32 ports)
{
	return ports << 16 | ports >> 16;
}

/* Whether the first end stands first in the map; any order will do that both directions agree on. */
static __always_inline int in_order(const struct flow_key *key)
{
	int k;

#pragma unroll
	for (k = 0; k < 4; k++) {
		if (key->client[k] != key->server[k])
			return key->client[k] < key->server[k];
	}
	return key->ports <= swap_ports(key->ports);
}

static __always_inline void turn(struct flow_key *key)
{
	__be32 word;
	int k;

#pragma unroll
	for (k = 0; k < 4; k++) {
		word = key->client[k];
		key->client[k] = key->server[k];
		key->server[k] = word;
		if (key->version == 4)
			break;
	}
	key->ports = swap_ports(key->ports);
}

/*
 * Find the packet's flow, or open one; NULL where the map takes none. Exactly one end inside the prefix is the client;
 * else the sender of the flow's first packet is.
 */
static __always_inline struct flow *find_flow(const struct flow_key *key, int turned, struct counters *counts)
{
	__u32 zero = 0;
	struct flow *flow = bpf_map_lookup_elem(&flows, key), *empty;

	if (flow)
		return flow;
	empty = bpf_map_lookup_elem(&blank, &zero);
	if (!empty)
		return NULL;
	empty->turned = turned;
	/* Where another CPU was faster, its flow is the one. */
	if (!bpf_map_update_elem(&flows, key, empty, BPF_NOEXIST))
		counts->opened++;
	return bpf_map_lookup_elem(&flows, key);
}

/* Write out the flow's window `window`, let the model judge it, and queue the result. */
static __always_inline void publish(const struct flow_key *key, const struct flow *flow, __u32 window,
				    struct counters *counts)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&scratch, &zero);

	if (!record)
		return;
	record->result.key = *key;
	if (flow->turned)
		turn(&record->result.key);
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

/* Move a half past its window's end to the window of `ns`; publish the flow's window if that closes it. */
static __always_inline void enter_window(const struct flow_key *key, struct flow *flow, struct half *own,
					 const struct half *other, __u64 ns, struct counters *counts)
{
	__u32 zero = 0, newest = most(own->window, other->window), index;
	struct clock *times = bpf_map_lookup_elem(&clock, &zero);

	if (!times)
		return;
	index = most(window_at(times, ns), newest);
	if (index > newest && (own->window_end | other->window_end))
		publish(key, flow, newest, counts);
	own->window = index;
	own->window_end = times->epoch + (__u64)(index + 1 - times->index) * times->window;
	clear_half(own);
#if LEVEL >= 4
	if (own == &flow->up)
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
	int client, forward, up, opening;

	/* What follows reads the packet from memory, so that the verifier looks at it once, and not for each way there. */
	asm volatile("" ::: "memory");
	counts->seen += packet->segments;
	packet->ns = read_time();
	if (packet->skip != SKIP_NONE) {
		counts->skipped[packet->skip & (SKIPS - 1)] += packet->segments;
		return;
	}
	client = tell_client(&packet->key);
	forward = client == UNTOLD ? in_order(&packet->key) : client;
	if (!forward)
		turn(&packet->key);
	flow = find_flow(&packet->key, client == UNTOLD && !forward, counts);
	if (!flow) {
		counts->skipped[SKIP_NO_ROOM] += packet->segments;
		return;
	}
	up = client == UNTOLD ? forward != (int)flow->turned : client;
	own = up ? &flow->up : &flow->down;
	other = up ? &flow->down : &flow->up;
	opening = own->window_end == 0;
	if (packet->ns >= own->window_end || own->window < other->window)
		enter_window(&packet->key, flow, own, other, packet->ns, counts);
	count_packet(local, flow, own, other, up, opening);
	counts->accounted += packet->segments;
}

/* Publish a flow's open window and forget the flow. */
static __always_inline void close(const struct flow_key *key, struct counters *counts)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return;
	publish(key, flow, most(flow->up.window, flow->down.window), counts);
	bpf_map_delete_elem(&flows, key);
}

#endif
