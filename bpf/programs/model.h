/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The quality model: from a closed window's row of features to a class or a number. bpf/models/integers.py says the same
 * in numpy, bit for bit. Nothing divides, and products fit 32 bits.
 *
 * Every bound is a constant of `config.capacity`, which the verifier knows: it walks the loops of the one kind in use as
 * far as that model is large, and drops the other kinds.
 */
#ifndef MODEL_H
#define MODEL_H

#include "maps.h"

#include "arithmetic.h"
#include "blob.h"

/* Where the model works: the end of the row, past every feature. */
#define WORK_INPUTS 160
#define WORK_HIDDEN (WORK_INPUTS + MLP_INPUTS)
#define WORK_HIDDEN_2 (WORK_HIDDEN + MLP_HIDDEN)
#define WORK_SUMS (WORK_HIDDEN_2 + MLP_HIDDEN_2)

#if FEATURES > WORK_INPUTS || WORK_SUMS + LABELS > ROW
#error "the row has no room for the model's work"
#endif

/* Two models: one in use, and one that user space may write while it isn't; the loader sets the size of both. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct model);
} models SEC(".maps");

/* The slot in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} active SEC(".maps");

/* log2_eighths without branches but one, each of which would double what the verifier walks. */
static __always_inline __u32 level_of(__u32 value)
{
	__u32 ones = value, bits;

	if (!value)
		return 0;
	ones |= ones >> 1;
	ones |= ones >> 2;
	ones |= ones >> 4;
	ones |= ones >> 8;
	ones |= ones >> 16;
	/* Count them: by pairs, by fours, by bytes. */
	bits = ones - (ones >> 1 & 0x55555555);
	bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
	bits = ((bits + (bits >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24;
	return (bits - 1) << 3 | (value << ((32 - bits) & 31) >> 28 & 7);
}

/* Walk the chain of trees. False where it doesn't end within the capacity: then the blob is broken. */
static __always_inline int sum_forest(const void *model, __u32 *row)
{
	const struct node *nodes = model + sizeof(struct model), *node;
	__s32 *sums = (__s32 *)row + WORK_SUMS;
	/* Wide, so that the verifier follows their bounds whatever instructions the compiler has. */
	__u64 limit = config.capacity.nodes, at = 0;
	__u32 steps = config.capacity.steps, step;

	for (step = 0; step < steps; step++) {
		if (at >= limit)
			return 0;
		node = nodes + at;
		at = node->next;
		if (!node->vote) {
			/* The mask changes nothing, and is why the verifier takes both ways for one. */
			at = (at + (row[node->place] > node->value)) & 0xFFFF;
			continue;
		}
		sums[node->place & (LABELS - 1)] += node->value;
		if (!at)
			return 1;
	}
	return 0;
}

static __always_inline void sum_linear(const void *model, __u32 *row)
{
	const __s32 *bias = model + sizeof(struct model);
	const __s16 *weight = (const __s16 *)(bias + LABELS);
	__s32 *sums = (__s32 *)row + WORK_SUMS, level;
	__u32 inputs = config.capacity.inputs, outputs = config.capacity.outputs, i, k;

	for (k = 0; k < outputs && k < LABELS; k++)
		sums[k] = bias[k];
	for (i = 0; i < inputs; i++) {
		level = level_of(row[i]);
		for (k = 0; k < outputs && k < LABELS; k++)
			sums[k] += weight[i * outputs + k] * level;
	}
}

static __always_inline __s32 weigh(const __s8 *weight, const __u32 *from, __u32 count)
{
	__s32 sum = 0;
	__u32 i;

	for (i = 0; i < count; i++)
		sum += weight[i] * (__s32)from[i];
	return sum;
}

static __always_inline void activate(const struct neuron *neurons, const __s8 *weights, const __u32 *from, __u32 inputs,
				     __u32 *to, __u32 count)
{
	__u32 j, shift;
	__s32 sum;

	for (j = 0; j < count; j++) {
		sum = neurons[j].bias + weigh(weights + j * inputs, from, inputs);
		shift = neurons[j].shift & 31;
		to[j] = sum <= 0 ? 0 : least((((__u32)sum >> 4) * neurons[j].factor + (1U << shift >> 1)) >> shift, 255);
	}
}

static __always_inline void sum_mlp(const void *model, __u32 *row)
{
	__u32 inputs = config.capacity.inputs, first = config.capacity.hidden[0], second = config.capacity.hidden[1],
	      outputs = config.capacity.outputs, i;
	const struct input *input = model + sizeof(struct model);
	const struct neuron *neurons = (const struct neuron *)(input + inputs);
	const __s8 *weights = (const __s8 *)(neurons + first + second + outputs);
	__s32 *sums = (__s32 *)row + WORK_SUMS, level;

	if (inputs > MLP_INPUTS || first > MLP_HIDDEN || second > MLP_HIDDEN_2 || outputs > LABELS)
		return;
	for (i = 0; i < inputs; i++) {
		level = (__s32)level_of(row[input[i].feature]) * 16 - input[i].mean;
		level = (level * input[i].factor + 0x8000) >> 16;
		row[WORK_INPUTS + i] = level > 127 ? 127 : level < -127 ? -127 : level;
	}
	activate(neurons, weights, row + WORK_INPUTS, inputs, row + WORK_HIDDEN, first);
	neurons += first;
	weights += first * inputs;
	activate(neurons, weights, row + WORK_HIDDEN, first, row + WORK_HIDDEN_2, second);
	neurons += second;
	weights += second * first;
	for (i = 0; i < outputs; i++)
		sums[i] = neurons[i].bias + weigh(weights + i * second, row + WORK_HIDDEN_2, second);
}

/* Judge the row of a closed window: set the result's score, label, kind and slot. kind stays 0 where no model did. */
static __always_inline void infer(struct record *record)
{
	__u32 zero = 0, slot, k;
	__s32 *sums = (__s32 *)record->row + WORK_SUMS;
	const __u32 *chosen = bpf_map_lookup_elem(&active, &zero);
	const struct model *model;

	record->result.score = 0;
	record->result.label = 0;
	record->result.kind = MODEL_NONE;
	record->result.slot = 0;
	if (!chosen)
		return;
	slot = *chosen & 1;
	model = bpf_map_lookup_elem(&models, &slot);
	if (!model || model->kind != config.capacity.kind || model->kind == MODEL_NONE)
		return;
#pragma unroll
	for (k = 0; k < LABELS; k++)
		sums[k] = 0;
	if (config.capacity.kind == MODEL_FOREST && !sum_forest(model, record->row))
		return;
	if (config.capacity.kind == MODEL_LINEAR)
		sum_linear(model, record->row);
	if (config.capacity.kind == MODEL_MLP)
		sum_mlp(model, record->row);
	record->result.score = sums[0];
	/* The highest sum of the classes there are, and of equal ones the first. */
#pragma unroll
	for (k = 0; k < LABELS; k++) {
		if (!(model->labels >> k & 1))
			continue;
		if (!(model->labels & ((1 << k) - 1)) || sums[k] > record->result.score) {
			record->result.score = sums[k];
			record->result.label = k;
		}
	}
	record->result.kind = model->kind;
	record->result.slot = slot;
}

#endif
