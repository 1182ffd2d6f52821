/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From bytes to a parsed packet: VLAN and PPPoE, IPv4 and IPv6 with extension headers, TCP, UDP. The rules, limits and
 * reasons for skipping are those of benchmark/capture/frames.py and benchmark/wire.py.
 */
#ifndef PARSE_H
#define PARSE_H

#include "arithmetic.h"
#include "headers.h"
#include "maps.h"
#include "options.h"
#include "source.h"

#define VLANS 4      /* tags before the walk gives up */
#define EXTENSIONS 8 /* IPv6 extension headers before it does */

/* Find the IP header behind Ethernet, VLAN tags and PPPoE (RFC 2516): set `at` to it, return its version, or 0. */
static __always_inline __u32 find_ip(struct source *source, __u32 *at)
{
	const __be16 *type;
	const __u8 *first;
	__u32 version = 0;
	int tag;

	*at = 0;
	if (config.no_ethernet) {
		first = bytes_at(source, 0, 1);
		version = first ? *first >> 4 : 0;
		return version == 4 || version == 6 ? version : 0;
	}
	*at = ETHERNET;
	type = bytes_at(source, ETHERNET - 2, 2);
#pragma unroll
	for (tag = 0; tag < VLANS; tag++) {
		if (!type)
			return 0;
		if (*type != to_be16(0x8100) && *type != to_be16(0x88A8) && *type != to_be16(0x9100))
			break;
		type = bytes_at(source, *at + 2, 2);
		*at += 4;
	}
	if (!type)
		return 0;
	if (tag)
		*at = (forget(source->local, *at) & 0x7C) | 2;
	if (*type == to_be16(0x0800)) {
		version = 4;
	} else if (*type == to_be16(0x86DD)) {
		version = 6;
	} else if (*type == to_be16(0x8864)) {
		type = bytes_at(source, *at, 8);
		*at = (forget(source->local, *at + 8) & 0x7C) | 2;
		if (!type || type[0] != to_be16(0x1100))
			return 0;
		version = type[3] == to_be16(0x0021) ? 4 : type[3] == to_be16(0x0057) ? 6 : 0;
	}
	if (!version)
		return 0;
	first = bytes_at(source, *at, 1);
	return first && *first >> 4 == version ? version : 0;
}

/* Read the IPv4 header at `at`; set `header` to its size. */
static __always_inline enum skip parse_ipv4(struct source *source, __u32 at, struct packet *packet,
					    __u32 *header)
{
	const struct ipv4 *ip = bytes_at(source, at, sizeof(*ip));

	if (!ip)
		return SKIP_TRUNCATED;
	packet->bytes = from_be16(ip->length);
	/* 0 where the sender left segmentation to its card. */
	if (!packet->bytes)
		packet->bytes = source->length - at;
	packet->bytes = forget(source->local, packet->bytes);
	*header = (ip->version_header & 15) << 2;
	if (packet->bytes < sizeof(*ip) || *header < sizeof(*ip))
		return SKIP_TRUNCATED;
	if (ip->fragment & to_be16(0x1FFF))
		return SKIP_FRAGMENT;
	packet->key.protocol = ip->protocol;
	packet->key.client = raw_32(&ip->source);
	packet->key.server = raw_32(&ip->destination);
	return SKIP_NONE;
}

/* An IPv6 address in 32 bits, of which every bit depends on every word. */
static __always_inline __u32 fold(const __be32 *address)
{
	__u32 folded = address[0];
	int k;

#pragma unroll
	for (k = 1; k < 4; k++)
		folded = (folded ^ folded >> 15) * SPREAD + address[k];
	return folded;
}

/* Read the IPv6 header at `at` and walk its extension headers (RFC 8200, 4); set `header` to the size of them all. */
static __always_inline enum skip parse_ipv6(struct source *source, __u32 at, struct packet *packet,
					    __u32 *header)
{
	const struct ipv6 *ip = bytes_at(source, at, sizeof(*ip));
	const struct extension *extension;
	__u32 protocol, payload;
	int k;

	if (!ip)
		return SKIP_TRUNCATED;
	payload = from_be16(ip->length);
	protocol = ip->following;
	/* 0 in jumbograms. */
	packet->bytes = forget(source->local, payload ? sizeof(*ip) + payload : source->length - at);
#pragma unroll
	for (k = 0; k < 4; k++) {
		packet->ends.client[k] = raw_32(&ip->source[k]);
		packet->ends.server[k] = raw_32(&ip->destination[k]);
	}
	packet->key.client = fold(packet->ends.client);
	packet->key.server = fold(packet->ends.server);
	*header = sizeof(*ip);
	for (k = 0; k < EXTENSIONS; k++) {
		if (protocol != 0 && protocol != 43 && protocol != 44 && protocol != 51 && protocol != 60) {
			packet->key.protocol = protocol;
			return SKIP_NONE;
		}
		if (*header + sizeof(*extension) > packet->bytes)
			return SKIP_TRUNCATED;
		extension = bytes_at(source, at + *header, sizeof(*extension));
		if (!extension)
			return SKIP_TRUNCATED;
		if (protocol == 44) {
			if (extension->fragment & to_be16(0xFFF8))
				return SKIP_FRAGMENT;
			*header += 8;
		} else if (protocol == 51) {
			*header += (extension->length + 2) << 2;
		} else {
			*header += (extension->length + 1) << 3;
		}
		protocol = extension->following;
		*header = forget(source->local, *header) & FARTHEST & ~3;
	}
	return SKIP_PROTOCOL;
}

static __always_inline enum skip parse_tcp(struct source *source, __u32 at, struct packet *packet,
					   __u32 header)
{
	const struct tcp *tcp;
#if LEVEL >= 3
	__u32 end;
#endif
	__u32 size;

	if (header + sizeof(*tcp) > packet->bytes)
		return SKIP_TRUNCATED;
	tcp = bytes_at(source, at + header, sizeof(*tcp));
	if (!tcp)
		return SKIP_TRUNCATED;
	size = tcp->offset >> 4 << 2;
	packet->key.ports[0] = tcp->ports[0];
	packet->key.ports[1] = tcp->ports[1];
	packet->seq = read_32(&tcp->seq);
	packet->ack = read_32(&tcp->ack);
	packet->flags = tcp->flags;
	packet->size = packet->bytes > header + size ? packet->bytes - header - size : 0;
#if LEVEL >= 3
	end = at + least(header + size, packet->bytes);
	if (end > source->captured) {
		end = source->captured;
		source->lacking = 1;
	}
	at += header + sizeof(*tcp);
	if (at < end)
		find_timestamps(source, at, end - at, packet);
#endif
	return SKIP_NONE;
}

static __always_inline enum skip parse_udp(struct source *source, __u32 at, struct packet *packet,
					   __u32 header)
{
	const __be16 *ports;

	if (header + 8 > packet->bytes)
		return SKIP_TRUNCATED;
	ports = bytes_at(source, at + header, 8);
	if (!ports)
		return SKIP_TRUNCATED;
	packet->key.ports[0] = ports[0];
	packet->key.ports[1] = ports[1];
	packet->size = packet->bytes - header - 8;
	return SKIP_NONE;
}

static __always_inline enum skip parse_ip(struct source *source, struct packet *packet)
{
	__u32 at, header, version = find_ip(source, &at);
	enum skip skip;

	if (!version)
		return SKIP_NOT_IP;
	packet->key.version = version;
	skip = version == 4 ? parse_ipv4(source, at, packet, &header) : parse_ipv6(source, at, packet, &header);
	if (skip != SKIP_NONE)
		return skip;
	header = forget(source->local, header) & FARTHEST & ~3;
	if (packet->key.protocol == TCP)
		return parse_tcp(source, at, packet, header);
	if (packet->key.protocol == UDP)
		return parse_udp(source, at, packet, header);
	return SKIP_PROTOCOL;
}

/* Fill in the packet, or say in it why it has no flow. */
static __always_inline void parse(struct source *source, struct packet *packet)
{
	__builtin_memset(packet, 0, sizeof(*packet));
	packet->skip = parse_ip(source, packet);
}

#endif
