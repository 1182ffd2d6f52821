/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet's bytes, wherever they are. */
#ifndef SOURCE_H
#define SOURCE_H

#include "maps.h"

#define FARTHEST 0x7FFF /* no header stands farther from the packet's first byte */

/*
 * Where a packet's bytes are. `captured` of its `length` bytes are there to read. In the packet's own memory `end` bounds
 * them for the verifier; a copy stands in a buffer of BUFFER bytes.
 */
struct source {
	const void *data;
	const void *end;
	__u32 captured;
	__u32 length;
	int copied;
	int lacking; /* set where a header goes on past the captured bytes */
	struct local *local;
};

/* Return where `size` bytes stand from `offset` on, or NULL where fewer are captured. */
static __always_inline const void *bytes_at(struct source *source, __u32 offset, __u32 size)
{
	const void *at = source->data + offset;

	if (source->copied) {
		/* The mask is for the verifier: it changes nothing. */
		if (offset + size <= source->captured)
			return source->data + (offset & (BUFFER - 1));
	} else if (offset <= FARTHEST && at + size <= source->end) {
		return at;
	}
	source->lacking = 1;
	return NULL;
}

#endif
