/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The short way through a packet, which says exactly what the long one in parse.h would. */
#ifndef PLAIN_H
#define PLAIN_H

#include "headers.h"
#include "maps.h"

/* Bytes that it reads: Ethernet and IPv4, and in it UDP, TCP, or TCP with timestamps. */
#define PLAIN_UDP (ETHERNET + 20 + 8)
#define PLAIN_TCP (ETHERNET + 20 + 20)
#define PLAIN_TIMESTAMPS (PLAIN_TCP + 12)

/*
 * What almost all packets are: IPv4 without options behind plain Ethernet, and in it UDP, or TCP with timestamps alone or
 * without options. Return 0 for any other, which takes the long way. PLAIN_UDP bytes are there to read, and PLAIN_TCP or
 * PLAIN_TIMESTAMPS where `tcp_too` or `timestamps_too` is set.
 */
static __always_inline int parse_plain(const void *data, int tcp_too, int timestamps_too, struct packet *packet)
{
	const __be16 *type = data + ETHERNET - 2;
	const struct ipv4 *ip = data + ETHERNET;
	const struct tcp *tcp = data + ETHERNET + sizeof(*ip);
	const struct timestamps *options = data + PLAIN_TCP;
	__u32 header = sizeof(*ip) + 8, length = from_be16(ip->length), words;

	if (config.no_ethernet || *type != to_be16(0x0800) || ip->version_header != 0x45 ||
	    ip->fragment & to_be16(0x1FFF))
		return 0;
	if (ip->protocol == TCP) {
		if (!tcp_too)
			return 0;
		words = tcp->offset >> 4;
		header = sizeof(*ip) + sizeof(*tcp);
		packet->flags = tcp->flags;
		if (timestamps_too && words == 8 && raw_32(&options->kind) == to_be32(NOP_NOP_TIMESTAMPS)) {
			header += sizeof(*options);
			packet->flags = tcp->flags | HAS_TIMESTAMPS;
			packet->ts_value = read_32(&options->value);
			packet->ts_echo = read_32(&options->echo);
		} else if (words != 5) {
			return 0;
		}
		packet->seq = read_32(&tcp->seq);
		packet->ack = read_32(&tcp->ack);
	} else if (ip->protocol != UDP) {
		return 0;
	}
	if (length < header)
		return 0;
	packet->key.client = raw_32(&ip->source);
	packet->key.server = raw_32(&ip->destination);
	packet->key.ports[0] = tcp->ports[0];
	packet->key.ports[1] = tcp->ports[1];
	packet->key.protocol = ip->protocol;
	packet->key.version = 4;
	packet->skip = SKIP_NONE;
	packet->ahead = 0;
	packet->size = length - header;
	packet->bytes = length;
	return 1;
}

#endif
