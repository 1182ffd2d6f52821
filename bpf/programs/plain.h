/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The short way through a packet, which says exactly what the long one in parse.h would. */
#ifndef PLAIN_H
#define PLAIN_H

#include "headers.h"
#include "maps.h"

/* Bytes that it reads: Ethernet, IPv4 and UDP, or TCP with timestamps. */
#define PLAIN_UDP (ETHERNET + 20 + 8)
#define PLAIN_TCP (ETHERNET + 20 + 32)

/*
 * What almost all packets are: IPv4 without options behind plain Ethernet, and in it TCP with timestamps alone, or UDP.
 * Return 0 for any other, which takes the long way. PLAIN_UDP bytes are there to read; `tcp_too`: so are PLAIN_TCP.
 */
static __always_inline int parse_plain(const void *data, int tcp_too, struct packet *packet)
{
	const __be16 *type = data + ETHERNET - 2;
	const struct ipv4 *ip = data + ETHERNET;
	const struct tcp *tcp = data + ETHERNET + sizeof(*ip);
	const struct timestamps *options = data + ETHERNET + sizeof(*ip) + sizeof(*tcp);
	__u32 header = sizeof(*ip) + 8, length = from_be16(ip->length);

	if (config.no_ethernet || *type != to_be16(0x0800) || ip->version_header != 0x45 ||
	    ip->fragment & to_be16(0x1FFF))
		return 0;
	packet->has_ts = 0;
	if (ip->protocol == TCP) {
		header = sizeof(*ip) + sizeof(*tcp) + sizeof(*options);
		if (!tcp_too || tcp->offset >> 4 != (sizeof(*tcp) + sizeof(*options)) / 4 ||
		    raw_32(&options->kind) != to_be32(NOP_NOP_TIMESTAMPS))
			return 0;
		packet->seq = read_32(&tcp->seq);
		packet->ack = read_32(&tcp->ack);
		packet->flags = tcp->flags;
		packet->ts_value = read_32(&options->value);
		packet->ts_echo = read_32(&options->echo);
		packet->has_ts = 1;
	} else if (ip->protocol != UDP) {
		return 0;
	}
	if (length < header)
		return 0;
	__builtin_memset(&packet->key, 0, sizeof(packet->key));
	packet->key.client[0] = raw_32(&ip->source);
	packet->key.server[0] = raw_32(&ip->destination);
	packet->key.ports = raw_32(&tcp->ports);
	packet->key.version = 4;
	packet->key.protocol = ip->protocol;
	packet->skip = SKIP_NONE;
	packet->header = header;
	packet->length = length;
	packet->payload = length - header;
	return 1;
}

#endif
