/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the agent share: the script's layouts (bpf/agent/script.py), its state, and who does what. */
#ifndef AGENT_H
#define AGENT_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#define NONE 0xFFFFFFFFu /* in place of a map's number */
#define MAPS 64
#define PROGRAMS 32
#define LARGEST (96u << 20)
#define ALIGNED(length) (((length) + 7u) & ~7u)

struct map_command {
	uint32_t type, key_size, value_size, max_entries, flags, padding;
	char name[16];
};

struct update_command {
	uint32_t map, flags; /* the key and the value follow, each aligned */
};

struct program_command {
	uint32_t type, attach_type, instructions, relocations, log_level, padding;
	char name[16]; /* the relocations and the instructions follow */
};

struct program_answer {
	uint32_t jited, translated, verified, padding; /* bytes, bytes, instructions; the verifier's words follow */
};

struct relocation {
	uint32_t instruction, map, source, offset; /* source as BPF_PSEUDO_MAP_FD; offset of a map's value */
};

struct replay_command {
	uint32_t program, clock, now, queue, packets, padding; /* the clock's value follows, then the packets */
};

struct packet {
	uint64_t time;
	uint32_t length, padding; /* the bytes follow, aligned */
};

struct close_command {
	uint32_t program, flows, queue, padding;
};

struct measure_command {
	uint32_t program, repeat, rounds, length; /* the packet follows */
};

struct map {
	int fd;
	uint32_t type, key_size, value_size, bytes; /* bytes of one value as bpf(2) copies it: of all CPUs, where per CPU */
};

struct buffer {
	uint8_t *bytes;
	size_t length, room;
};

/* What is left of the command at hand. */
struct reader {
	const uint8_t *at;
	size_t left;
};

/* Maps and programs in the order of the script, and the answer to the command at hand (script.c). */
extern struct map maps[MAPS];
extern int programs[PROGRAMS];
extern uint32_t map_count, program_count, cpus;
extern struct buffer answer;

/* script.c */
int run_script(const uint8_t *script, size_t length);
int keep(const void *bytes, size_t length);
const void *take(struct reader *reader, size_t length);
struct map *find_map(uint32_t number);
int find_program(uint32_t number);

/* console.c */
void print(const char *text, size_t length);
void put_record(uint32_t number, int error, const void *bytes, uint32_t length, int last);

/* kernel.c: bpf(2), errno or 0 but for call, which is the system call itself */
int call(int command, union bpf_attr *attr);
uint64_t address(const void *pointer);
int access_map(int command, const struct map *map, const void *key, void *value, uint64_t flags);
int test_run(int program, const void *packet, uint32_t length, uint32_t repeat, uint32_t *duration);
int is_per_cpu(uint32_t type);
uint64_t map_charge(int map);

/* maps.c: commands, errno or 0 */
int create_map(struct reader *reader);
int update_map(struct reader *reader);
int freeze_map(struct reader *reader);
int dump(struct reader *reader);
int clear_map(struct reader *reader);
int list_map(const struct map *map, int values);
int drain(uint32_t number);

/* programs.c: commands, errno or 0 */
int load_program(struct reader *reader);
int replay(struct reader *reader);
int close_flows(struct reader *reader);
int measure(struct reader *reader);

#endif
