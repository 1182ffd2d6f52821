/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Commands on programs: loading, and runs on packets. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES (1u << 18)
#define DRAIN_EVERY 256 /* packets: fewer than any queue of results holds */
#define ETHERNET 14

static char verifier_log[LOG_BYTES];

/* Point each instruction that names a map at this machine's descriptor of it. */
static int relocate(struct bpf_insn *code, uint32_t count, const struct relocation *at, uint32_t relocations)
{
	for (; relocations--; at++) {
		struct map *map = find_map(at->map);

		if (!map || at->instruction + 1 >= count)
			return EINVAL;
		code[at->instruction].src_reg = at->source & 0xF;
		code[at->instruction].imm = map->fd;
		code[at->instruction + 1].imm = (int32_t)at->offset;
	}
	return 0;
}

/* Load a program. The answer is what the kernel says of it, and then the verifier's words. */
int load_program(struct reader *reader)
{
	const struct program_command *wanted = take(reader, sizeof(*wanted));
	const struct relocation *relocations = NULL;
	const struct bpf_insn *given = NULL;
	struct program_answer sizes = {0, 0, 0, 0};
	struct bpf_prog_info facts;
	struct bpf_insn *code;
	union bpf_attr attr;
	int error, fd;

	if (wanted && wanted->relocations < LARGEST / sizeof(*relocations) && wanted->instructions < LARGEST / sizeof(*given))
		relocations = take(reader, wanted->relocations * sizeof(*relocations));
	if (relocations)
		given = take(reader, wanted->instructions * sizeof(*given));
	if (!given || program_count == PROGRAMS)
		return EINVAL;
	code = malloc(wanted->instructions * sizeof(*code) + 1);
	if (!code)
		return ENOMEM;
	memcpy(code, given, wanted->instructions * sizeof(*code));
	error = relocate(code, wanted->instructions, relocations, wanted->relocations);
	if (error)
		return error;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = wanted->type;
	attr.expected_attach_type = wanted->attach_type;
	attr.insn_cnt = wanted->instructions;
	attr.insns = address(code);
	attr.license = address("GPL");
	attr.log_level = wanted->log_level;
	attr.log_buf = wanted->log_level ? address(verifier_log) : 0;
	attr.log_size = wanted->log_level ? LOG_BYTES : 0;
	memcpy(attr.prog_name, wanted->name, sizeof(attr.prog_name) - 1);
	verifier_log[0] = 0;
	fd = call(BPF_PROG_LOAD, &attr);
	error = fd < 0 ? errno : 0;
	free(code);
	memset(&facts, 0, sizeof(facts));
	if (!error) {
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)fd;
		attr.info.info_len = sizeof(facts);
		attr.info.info = address(&facts);
		error = call(BPF_OBJ_GET_INFO_BY_FD, &attr) ? errno : 0;
		programs[program_count++] = fd;
	}
	sizes.jited = facts.jited_prog_len;
	sizes.translated = facts.xlated_prog_len;
	sizes.verified = facts.verified_insns;
	keep(&sizes, sizeof(sizes));
	keep(verifier_log, strnlen(verifier_log, LOG_BYTES));
	return error;
}

/* Run every packet through the program at its time. The answer is the time that all of it took, then the results. */
int replay(struct reader *reader)
{
	const struct replay_command *wanted = take(reader, sizeof(*wanted));
	struct map *clock = wanted ? find_map(wanted->clock) : NULL;
	const void *given = clock ? take(reader, clock->bytes) : NULL;
	int program = wanted ? find_program(wanted->program) : -1, error = 0;
	uint64_t total = 0;
	uint32_t zero = 0;
	uint8_t *now;

	if (!given || program < 0 || (size_t)wanted->now + sizeof(total) > clock->bytes)
		return EINVAL;
	now = malloc(clock->bytes);
	if (!now)
		return ENOMEM;
	memcpy(now, given, clock->bytes);
	keep(&total, sizeof(total));
	for (uint32_t i = 0; i < wanted->packets && !error; i++) {
		const struct packet *packet = take(reader, sizeof(*packet));
		const void *bytes = packet ? take(reader, packet->length) : NULL;
		uint32_t duration = 0;

		if (!bytes) {
			error = EINVAL;
			break;
		}
		memcpy(now + wanted->now, &packet->time, sizeof(packet->time));
		error = access_map(BPF_MAP_UPDATE_ELEM, clock, &zero, now, BPF_ANY);
		if (!error)
			error = test_run(program, bytes, packet->length, 1, &duration);
		total += duration;
		if (!error && i % DRAIN_EVERY == DRAIN_EVERY - 1)
			error = drain(wanted->queue);
	}
	free(now);
	memcpy(answer.bytes, &total, sizeof(total));
	return error ? error : drain(wanted->queue);
}

/* Hand every key of a map to the program, behind an Ethernet header of zeros. The answer is the results. */
int close_flows(struct reader *reader)
{
	const struct close_command *wanted = take(reader, sizeof(*wanted));
	struct map *flows = wanted ? find_map(wanted->flows) : NULL;
	int program = wanted ? find_program(wanted->program) : -1, error;
	uint8_t *keys = NULL, *frame = NULL;
	uint32_t duration;
	size_t length;

	if (!flows || program < 0)
		return EINVAL;
	error = list_map(flows, 0);
	length = answer.length;
	if (!error) {
		keys = malloc(length + 1);
		frame = calloc(1, ETHERNET + flows->key_size);
		error = keys && frame ? 0 : ENOMEM;
	}
	if (!error)
		memcpy(keys, answer.bytes, length);
	answer.length = 0;
	for (size_t at = 0; at < length && !error; at += flows->key_size) {
		memcpy(frame + ETHERNET, keys + at, flows->key_size);
		error = test_run(program, frame, ETHERNET + flows->key_size, 1, &duration);
		if (!error)
			error = drain(wanted->queue);
	}
	free(frame);
	free(keys);
	return error;
}

/* The answer is the kernel's mean time of a run, in ns, of each round. */
int measure(struct reader *reader)
{
	const struct measure_command *wanted = take(reader, sizeof(*wanted));
	const void *bytes = wanted ? take(reader, wanted->length) : NULL;
	int program = wanted ? find_program(wanted->program) : -1, error = 0;

	if (!bytes || program < 0)
		return EINVAL;
	for (uint32_t round = 0; round < wanted->rounds && !error; round++) {
		uint32_t duration = 0;

		error = test_run(program, bytes, wanted->length, wanted->repeat, &duration);
		keep(&duration, sizeof(duration));
	}
	return error;
}
