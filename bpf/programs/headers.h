/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers as they stand in a packet: IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293, 7323), UDP (RFC 768). */
#ifndef HEADERS_H
#define HEADERS_H

#include "endian.h"

#define TCP 6
#define UDP 17
#define ETHERNET 14
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define HAS_TIMESTAMPS 0x100 /* beside the flags */
#define NOP_NOP_TIMESTAMPS 0x0101080A /* the layout that RFC 7323, appendix A, recommends */

struct ipv4 {
	__u8 version_header;
	__u8 tos;
	__be16 length;
	__be16 identification;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	struct word source;
	struct word destination;
};

struct ipv6 {
	__be16 version_class[2];
	__be16 length;
	__u8 following;
	__u8 hops;
	struct word source[4];
	struct word destination[4];
};

struct extension {
	__u8 following;
	__u8 length;
	__be16 fragment;
	__be16 rest[2];
};

struct tcp {
	__be16 ports[2];
	struct word seq;
	struct word ack;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
};

struct timestamps {
	struct word kind;
	struct word value;
	struct word echo;
};

#endif
