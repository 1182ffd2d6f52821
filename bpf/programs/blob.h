/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A quality model as bytes, in the order of the machine that it is for: this header, then arrays whose places follow
 * from the capacity. User space makes it (bpf/models), the program reads it. All of it is 32-bit integers or smaller.
 *
 * forest (trees, random forests, boosting): struct node [nodes].
 * linear: __s32 bias [LABELS], then __s16 weight [inputs][outputs], where input k is feature k.
 * mlp: struct input [inputs]; struct neuron [hidden[0]], [hidden[1]], [outputs]; then __s8 weights of each layer, a row a
 * neuron.
 */
#ifndef BLOB_H
#define BLOB_H

#include <linux/types.h>

#define MODEL_NONE 0
#define MODEL_FOREST 1
#define MODEL_LINEAR 2
#define MODEL_MLP 3

#define LABELS 8 /* classes, 0 to 7; a regression gives its answer in the place of class 0 */
#define MLP_INPUTS 32
#define MLP_HIDDEN 32
#define MLP_HIDDEN_2 16

/*
 * How large a model the program is prepared for: constant once loaded, so that the verifier knows every bound, and kinds
 * other than `kind` are no part of the program that runs. A model that goes live later is of this kind and no larger; an
 * mlp is of just this shape, smaller ones padded with neurons that do nothing.
 */
struct capacity {
	__u32 bytes; /* of one slot of the models map */
	__u32 nodes;
	__u32 steps; /* that a forest takes at most for one row */
	__u8 kind;
	__u8 outputs;
	__u8 inputs;
	__u8 hidden[2];
	__u8 padding[3];
};

struct model {
	__u8 kind;
	__u8 labels;   /* bit k is set where class k may be the answer; 0 for a regression */
	__s8 exponent; /* a score is this many powers of two times what it stands for */
	__u8 outputs;
	__u8 inputs;
	__u8 hidden[2];
	__u8 padding;
	__u32 nodes;
	__u32 steps;
};

/*
 * All trees are one chain. A split goes on to node `next` where the feature is `value` or less, else to the node after
 * that. A vote adds `value` to the sum of class `place` and goes on to `next`: another vote, the next tree's root, or 0,
 * which ends the chain.
 */
struct node {
	__u32 value; /* threshold of a split; of a vote, a signed weight */
	__u16 next;
	__u8 place; /* feature of a split, class of a vote */
	__u8 vote;
};

/* x = ((16 * log2_eighths(row[feature]) - mean) * factor + 0x8000) >> 16, and no further from 0 than 127. */
struct input {
	__s16 mean;
	__u16 factor;
	__u8 feature;
	__u8 padding[3];
};

/*
 * Activation = ((sum >> 4) * factor + half) >> shift, where half is 1 << shift >> 1; at most 255, and 0 where the sum isn't
 * positive. Outputs are bare sums.
 */
struct neuron {
	__s32 bias;
	__u16 factor;
	__u8 shift;
	__u8 padding;
};

#endif
