/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs and user space share: maps' keys and values, in fixed widths and with explicit padding. User space
 * reads the same layouts as numpy record types (benchmark/quality/state.py for a flow's state, bpf/abi.py for the rest).
 *
 * LEVEL, 0 to 5 for the feature sets F0 to F5, is given at compile time, so that a cheap set costs what it costs.
 */
#ifndef ABI_H
#define ABI_H

#include <linux/types.h>

#include "blob.h"

#ifndef LEVEL
#define LEVEL 4
#endif

#define SIZE_BINS 8
#define GAP_BINS 10
#define SEGMENT_BINS 12
#define RING 10
#define MAP_BITS 256
#define BUFFER 256 /* bytes of a packet that a hook without access to its memory copies */

/* Features of one direction in F0, F1, F2 and F3, and of both in F4 and F5. */
#define COLUMNS_0 2
#define COLUMNS_1 (6 + SIZE_BINS)
#define COLUMNS_2 (6 + GAP_BINS)
#define COLUMNS_3 8
#define COLUMNS_4 (1 + 11 + SEGMENT_BINS + 6)
#define COLUMNS_5 (2 + 2 * RING)
#define FEATURES                                                                                                      \
	(2 * COLUMNS_0 + (LEVEL >= 1 ? 2 * COLUMNS_1 : 0) + (LEVEL >= 2 ? 2 * COLUMNS_2 : 0) +                            \
	 (LEVEL >= 3 ? 2 * COLUMNS_3 : 0) + (LEVEL >= 4 ? COLUMNS_4 : 0) + (LEVEL >= 5 ? COLUMNS_5 : 0))
/* A power of two that no feature's number reaches, so that a mask is all the check that the verifier wants. */
#define ROW 256
/* The feature by which a trace's flow is chosen. */
#define DOWN_BYTES 3

/* The client's end first. An IPv4 address fills the first four bytes and leaves zeros. Ports are in network order. */
struct flow_key {
	__be32 client[4];
	__be32 server[4];
	__be16 ports[2]; /* the client's first */
	__u8 protocol;
	__u8 version;
	__u16 padding;
};

/*
 * A flow's key in the map, where most of the cost of finding it is the key's length. IPv6 addresses are folded to 32 bits
 * each; the flow holds them, and a packet of others is skipped. Where no prefix tells the client, either end stands first.
 */
struct short_key {
	__be32 client;
	__be32 server;
	__be16 ports[2];
	__u16 protocol;
	__u16 version;
};

/* IPv6 addresses, zeros for IPv4; their order is that of the key. */
struct ends {
	__be32 client[4];
	__be32 server[4];
};

/* One direction of a flow, written by packets of that direction alone. */
struct half {
	__u64 window_end;
	__u32 window;
	__u32 packets;
	__u32 bytes;
#if LEVEL >= 1
	__u32 data;
	__u32 payload;
	__u32 size_squares;
	__u16 size_min;
	__u16 size_max;
	__u16 size_bins[SIZE_BINS];
#endif
#if LEVEL >= 2
	__u32 last;
	__u32 gap_sum;
	__u32 gap_squares;
	__u32 gap_min;
	__u32 gap_max;
	__u16 bursts;
	__u16 gap_bins[GAP_BINS];
#endif
#if LEVEL >= 3
	__u16 pushes;
	__u16 repeated_acks;
	__u16 retransmits;
	__u16 holes;
	__u16 rtt_samples;
	__u16 probe;
	__u16 answered;
	__u32 probe_value;
	__u32 probe_tick;
	__u32 next_seq;
	__u32 last_ack;
	__u32 rtt_sum;
	__u32 rtt_min;
	__u32 rtt_max;
#endif
#if LEVEL >= 5
	__u16 unique;
	__u32 size_map[MAP_BITS / 32];
#endif
};

/* Written by up packets. */
struct requests {
	__u32 tick;
	__u16 number;
	__u16 requests;
};

/* Written by down packets. */
struct segments {
	__u16 number;
	__u16 segments;
	__u32 start;
	__u32 last;
	__u32 open;
	__u32 size_last;
	__u32 bytes;
	__u32 size_max;
	__u32 time;
	__u32 time_max;
	__u32 rate_sum;
	__u32 idle;
	__u8 bins[SEGMENT_BINS];
	__u16 frames;
	__u16 recent[3];
	__u32 frame_tick;
	__u32 frame_open;
	__u32 frame_bytes;
	__u32 frame_max;
	__u32 frame_gap_squares;
	__u32 frame_gap_max;
#if LEVEL >= 5
	__u16 ring_next;
	__u32 ring_bytes[RING];
	__u32 ring_gap[RING];
#endif
};

struct flow {
	struct half up;
	struct half down;
#if LEVEL >= 4
	struct requests requests;
	struct segments segments;
#endif
	struct ends ends;
	__u32 turned; /* where no prefix tells: the server's end stands first in the key */
	__u32 padding;
};

/*
 * Window number `index` begins at `epoch` ns, and each lasts `window` ns, which is `units` << `shift`. Under replay the
 * time is `now`, and `step` is added to it by every packet.
 */
struct clock {
	__u64 epoch;
	__u64 window;
	__u32 index;
	__u32 shift;
	__u32 units;
	__u32 padding;
	__u64 now;
	__u64 step;
};

/* Set before the program is loaded, and constant from then on. */
struct config {
	__be32 client_4; /* prefix of the client's IPv4 addresses, masked; where there is none, the mask is 0 and this isn't */
	__be32 mask_4;
	__be32 client_6[4]; /* likewise of IPv6 */
	__be32 mask_6[4];
	__u8 replay;      /* time comes from the clock map */
	__u8 no_ethernet; /* packets begin at the IP header */
	__u8 padding[2];
	struct capacity capacity; /* that the models have */
};

/* Why a packet has no flow; SKIP_NONE to SKIP_PROTOCOL are benchmark/wire.py's. */
enum skip {
	SKIP_NONE,
	SKIP_NOT_IP,
	SKIP_TRUNCATED,
	SKIP_FRAGMENT,
	SKIP_PROTOCOL,
	SKIP_NO_ROOM, /* the flow map took no new flow */
	SKIP_CLASH,   /* a flow of other IPv6 addresses has this key */
	SKIPS = 8,
};

/* seen = accounted + the sum of skipped from SKIP_NOT_IP on. */
struct counters {
	__u64 seen;
	__u64 accounted;
	__u64 skipped[SKIPS];
	__u64 opened;      /* flows; those neither in the map nor closed by close_flow were evicted */
	__u64 closed;      /* windows */
	__u64 overwritten; /* results that nobody read in time */
	__u64 unpublished; /* results that the queue didn't take */
};

/*
 * What is read of a packet, in the machine's order but for addresses and ports, of which the sender's stand first. One that
 * merges several of the wire's (GRO, TSO) is counted in two goes: those ahead of the last, all of one size, then the last.
 */
struct packet {
	__u64 ns;
	struct short_key key;
	__u32 ahead; /* packets on the wire ahead of the last */
	__u32 size;  /* payload of each that the go at hand counts */
	__u32 bytes; /* IP total lengths of all these */
	__u32 seq;
	__u32 ack;
	__u32 ts_value;
	__u32 ts_echo;
	__u32 last_size; /* payload of the last one */
	__u32 last_bytes;
	__u16 flags; /* of TCP, and HAS_TIMESTAMPS */
	__u16 last_flags;
	__u8 skip; /* why the packet has no flow */
	__u8 padding[7];
	struct ends ends;
};

/* How far a walk through a packet's TCP options has come. */
struct walk {
	__u64 value;
	__u32 kind; /* of the option whose length is next; else 0 */
	__u32 left; /* bytes of the option that it is within */
	__u32 wanted;
	__u32 padding;
};

/* Each CPU's own: what outlasts a packet, then the packet at hand, and its first bytes where they had to be copied. */
struct local {
	struct counters counters;
	struct packet packet;
	struct walk walk;
	__u32 oblivion; /* see arithmetic.h */
	__u8 lead[6];   /* so that the IP header behind 14 bytes of Ethernet is aligned */
	__u8 copy[BUFFER];
	__u8 padding[62]; /* more than is read at once */
};

/* What a closed window leaves. */
struct result {
	struct flow_key key;
	__u32 window;
	__u32 down_bytes;
	__s32 score; /* of a regression, or of the class chosen */
	__u8 label;  /* the class chosen */
	__u8 kind;   /* of the model that chose, 0 for none */
	__u8 slot;   /* that the model stood in */
	__u8 padding;
};

/* The queue of results holds the row of features too, or the result alone: the loader decides. */
struct record {
	struct result result;
	__u32 row[ROW];
} __attribute__((aligned(8)));

#endif
