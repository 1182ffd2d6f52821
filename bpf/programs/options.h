/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP's options, of which only the timestamps count. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "arithmetic.h"
#include "headers.h"
#include "source.h"

#define OPTIONS 40 /* bytes of TCP options, each of which may be an option */

/* Find the timestamp option (RFC 7323, 3.2) among the `size` bytes of TCP options at `at`, byte by byte. */
static __always_inline void walk_options(struct source *source, __u32 at, __u32 size, struct packet *packet)
{
	volatile struct walk *walk = &source->local->walk;
	const __u8 *byte;
	__u32 k;

	at = forget(source->local, at) & FARTHEST;
	size = forget(source->local, size);
	walk->value = 0;
	walk->kind = walk->left = walk->wanted = 0;
	for (k = 0; k < OPTIONS; k++) {
		if (k >= size)
			return;
		byte = bytes_at(source, at + k, 1);
		if (!byte)
			return;
		if (walk->left) {
			walk->value = walk->value << 8 | *byte;
			walk->left--;
			if (!walk->wanted || walk->left)
				continue;
			packet->ts_value = walk->value >> 32;
			packet->ts_echo = walk->value;
			packet->flags |= HAS_TIMESTAMPS;
			return;
		}
		if (walk->kind) {
			if (*byte < 2 || k - 1 + *byte > size)
				return;
			walk->wanted = walk->kind == 8 && *byte == 10;
			walk->left = *byte - 2;
			walk->kind = 0;
		} else if (*byte == 0) {
			return;
		} else if (*byte != 1) {
			walk->kind = *byte;
		}
	}
}

static __always_inline void find_timestamps(struct source *source, __u32 at, __u32 size, struct packet *packet)
{
	const struct timestamps *usual;

	if (size >= sizeof(*usual)) {
		usual = bytes_at(source, at, sizeof(*usual));
		if (usual && raw_32(&usual->kind) == to_be32(NOP_NOP_TIMESTAMPS)) {
			packet->ts_value = read_32(&usual->value);
			packet->ts_echo = read_32(&usual->echo);
			packet->flags |= HAS_TIMESTAMPS;
			return;
		}
	}
	walk_options(source, at, size, packet);
}

#endif
