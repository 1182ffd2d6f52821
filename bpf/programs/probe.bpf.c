// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The probe: one program behind every hook. LEVEL chooses the feature set; see abi.h. */
#include "flow.h"

#define GO_ON -1 /* TC_ACT_UNSPEC: other filters have their say */
#define DROP 0   /* of the copy that a socket would get */
#define PULL 192 /* bytes that cover all headers but the rarest */

/* Headers that the driver left outside of the linear part are pulled into it, once. */
static __always_inline void parse_slowly(struct __sk_buff *skb, struct local *local)
{
	__u32 attempt;

	for (attempt = 0;; attempt++) {
		const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
		struct source source = { data, end, end - data, skb->len, 0, 0, local };

		parse(&source, &local->packet);
		if (!source.lacking || attempt || source.captured >= source.length)
			break;
		if (bpf_skb_pull_data(skb, least(source.length, PULL)))
			break;
	}
}

static __always_inline void observe_skb(struct __sk_buff *skb)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 zero = 0;
	struct local *local = bpf_map_lookup_elem(&counters, &zero);

	if (!local)
		return;
	if (data + PLAIN_UDP > end ||
	    !parse_plain(data, data + PLAIN_TCP <= end, data + PLAIN_TIMESTAMPS <= end, &local->packet))
		parse_slowly(skb, local);
	if (skb->gso_size)
		split(&local->packet, skb->gso_segs, skb->gso_size);
	account(local);
}

static __always_inline void observe_frame(struct xdp_md *frame)
{
	const void *data = (void *)(long)frame->data, *end = (void *)(long)frame->data_end;
	__u32 zero = 0;
	struct local *local = bpf_map_lookup_elem(&counters, &zero);

	if (!local)
		return;
	if (data + PLAIN_UDP > end ||
	    !parse_plain(data, data + PLAIN_TCP <= end, data + PLAIN_TIMESTAMPS <= end, &local->packet)) {
		struct source source = { data, end, end - data, end - data, 0, 0, local };

		parse(&source, &local->packet);
	}
	account(local);
}

/* A socket's program may not read the packet's memory. */
static __always_inline void observe_copy(struct __sk_buff *skb)
{
	__u32 zero = 0, size = least(skb->len, BUFFER);
	struct local *local = bpf_map_lookup_elem(&counters, &zero);

	if (!local)
		return;
	if (size) {
		/* Says again that it is neither 0 nor more than BUFFER, in a way that any compiler leaves to the verifier. */
		size = ((size - 1) & (BUFFER - 1)) + 1;
		if (bpf_skb_load_bytes(skb, 0, local->copy, size))
			size = 0;
	}
	if (size < PLAIN_UDP ||
	    !parse_plain(local->copy, size >= PLAIN_TCP, size >= PLAIN_TIMESTAMPS, &local->packet)) {
		struct source source = { local->copy, NULL, size, skb->len, 1, 0, local };

		parse(&source, &local->packet);
	}
	if (skb->gso_size)
		split(&local->packet, skb->gso_segs, skb->gso_size);
	account(local);
}

SEC("xdp")
int probe_xdp(struct xdp_md *frame)
{
	observe_frame(frame);
	return XDP_PASS;
}

SEC("tc")
int probe_tc(struct __sk_buff *skb)
{
	observe_skb(skb);
	return GO_ON;
}

SEC("socket")
int probe_socket(struct __sk_buff *skb)
{
	observe_copy(skb);
	return DROP;
}

/* Its "packet" is the key in the map of the flow to close, behind an Ethernet header of zeros. */
SEC("tc")
int close_flow(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct local *local = bpf_map_lookup_elem(&counters, &zero);

	if (local && !bpf_skb_load_bytes(skb, ETHERNET, &local->packet.key, sizeof(local->packet.key)))
		close(&local->packet.key, &local->counters);
	return GO_ON;
}

/* What a program costs that does nothing. */
SEC("xdp")
int pass_xdp(struct xdp_md *frame)
{
	return XDP_PASS;
}

SEC("tc")
int pass_tc(struct __sk_buff *skb)
{
	return GO_ON;
}

SEC("socket")
int pass_socket(struct __sk_buff *skb)
{
	return DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
