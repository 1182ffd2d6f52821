/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The agent of an emulated router: it carries out a script of bpf(2) calls and prints what came of them.
 *
 *     agent [SCRIPT]        (/script where none is named; as process 1 it powers the machine off at the end)
 *
 * A script is a magic number and commands, all in the byte order of the machine that reads it, each 8-byte aligned and
 * bpf/agent/script.py's counterpart. Answers are records {number of the command, errno, length, bytes}, printed as
 * lines "#ta NUMBER BASE64 CRC32" that kernel messages on the same console can't be taken for (bpf/agent/answer.py). The
 * first command that fails ends the script. Nothing but the C library's system call wrappers is used, so that one static
 * file serves every architecture.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define MAGIC 0x54414731u
#define NONE 0xFFFFFFFFu /* in place of a map's number */
#define MAPS 64
#define PROGRAMS 32
#define LOG_BYTES (1u << 18)
#define DRAIN_EVERY 256 /* packets: fewer than any queue of results holds */
#define LINE 576        /* bytes a line, a multiple of 3 */
#define LARGEST (96u << 20)
#define ALIGNED(length) (((length) + 7u) & ~7u)

enum command { END, MAP, UPDATE, FREEZE, PROGRAM, REPLAY, CLOSE, MEASURE, DUMP, CLEAR };

struct header {
	uint32_t command;
	uint32_t length;
};

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

static struct map maps[MAPS];
static int programs[PROGRAMS];
static uint32_t map_count, program_count, cpus = 1;
static struct buffer answer;
static char verifier_log[LOG_BYTES];

/* The console. */

static uint32_t crc32(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0xFFFFFFFFu;

	while (length--) {
		sum ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320u : 0);
	}
	return ~sum;
}

static void print(const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(STDOUT_FILENO, text, length);

		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (written > 0) {
			text += written;
			length -= (size_t)written;
		}
	}
}

static void print_line(const uint8_t *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static uint32_t number;
	char line[LINE / 3 * 4 + 40];
	size_t at = (size_t)sprintf(line, "\n#ta %08x ", number++);

	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t word = (uint32_t)bytes[i] << 16;

		word |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
		word |= left > 2 ? bytes[i + 2] : 0;
		line[at++] = digits[word >> 18];
		line[at++] = digits[word >> 12 & 63];
		line[at++] = left > 1 ? digits[word >> 6 & 63] : '=';
		line[at++] = left > 2 ? digits[word & 63] : '=';
	}
	at += (size_t)sprintf(line + at, " %08x\n", crc32(bytes, length));
	print(line, at);
}

/* Queue bytes for the console; flush prints what doesn't fill a line, too. */
static void put(const void *bytes, size_t length, int flush)
{
	static uint8_t line[LINE];
	static size_t filled;
	const uint8_t *from = bytes;

	while (length) {
		size_t part = LINE - filled < length ? LINE - filled : length;

		memcpy(line + filled, from, part);
		filled += part;
		from += part;
		length -= part;
		if (filled == LINE) {
			print_line(line, filled);
			filled = 0;
		}
	}
	if (flush && filled) {
		print_line(line, filled);
		filled = 0;
	}
}

static void put_record(uint32_t number, int error, const void *bytes, uint32_t length, int last)
{
	uint32_t head[4] = {number, (uint32_t)error, length, 0};

	put(head, sizeof(head), 0);
	put(bytes, length, last);
}

static int keep(const void *bytes, size_t length)
{
	if (answer.length + length > answer.room) {
		size_t room = 2 * (answer.length + length);
		uint8_t *grown = room > LARGEST ? NULL : realloc(answer.bytes, room);

		if (!grown)
			return ENOMEM;
		answer.bytes = grown;
		answer.room = room;
	}
	memcpy(answer.bytes + answer.length, bytes, length);
	answer.length += length;
	return 0;
}

/* The script. */

static const void *take(struct reader *reader, size_t length)
{
	const uint8_t *at = reader->at;

	length = ALIGNED(length);
	if (length > reader->left)
		return NULL;
	reader->at += length;
	reader->left -= length;
	return at;
}

static struct map *find_map(uint32_t number)
{
	return number < map_count ? &maps[number] : NULL;
}

static int find_program(uint32_t number)
{
	return number < program_count ? programs[number] : -1;
}

/* bpf(2). */

static int call(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

static int access_map(int command, const struct map *map, const void *key, void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map->fd;
	attr.key = address(key);
	attr.value = address(value);
	attr.flags = flags;
	return call(command, &attr) ? errno : 0;
}

static int test_run(int program, const void *packet, uint32_t length, uint32_t repeat, uint32_t *duration)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)program;
	attr.test.data_in = address(packet);
	attr.test.data_size_in = length;
	attr.test.repeat = repeat;
	if (call(BPF_PROG_TEST_RUN, &attr))
		return errno;
	*duration = attr.test.duration;
	return 0;
}

static int is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Bytes that the kernel charges for a map. */
static uint64_t map_charge(int map)
{
	char path[64], text[1024] = "";
	const char *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	at = strstr(text, "memlock:");
	return at ? strtoull(at + 8, NULL, 10) : 0;
}

/* The answer is the map's bytes, 64 bits. */
static int create_map(struct reader *reader)
{
	const struct map_command *wanted = take(reader, sizeof(*wanted));
	struct map *map = &maps[map_count];
	union bpf_attr attr;
	uint64_t charge;

	if (!wanted || map_count == MAPS)
		return EINVAL;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = wanted->type;
	attr.key_size = wanted->key_size;
	attr.value_size = wanted->value_size;
	attr.max_entries = wanted->max_entries;
	attr.map_flags = wanted->flags;
	memcpy(attr.map_name, wanted->name, sizeof(attr.map_name) - 1);
	map->fd = call(BPF_MAP_CREATE, &attr);
	if (map->fd < 0)
		return errno;
	map->type = wanted->type;
	map->key_size = wanted->key_size;
	map->value_size = wanted->value_size;
	map->bytes = is_per_cpu(wanted->type) ? ALIGNED(wanted->value_size) * cpus : wanted->value_size;
	map_count++;
	charge = map_charge(map->fd);
	return keep(&charge, sizeof(charge));
}

static int update_map(struct reader *reader)
{
	const struct update_command *wanted = take(reader, sizeof(*wanted));
	struct map *map = wanted ? find_map(wanted->map) : NULL;
	const void *key = map ? take(reader, map->key_size) : NULL;
	const void *value = key ? take(reader, map->bytes) : NULL;

	if (!value)
		return EINVAL;
	return access_map(BPF_MAP_UPDATE_ELEM, map, key, (void *)value, wanted->flags);
}

static int freeze_map(struct reader *reader)
{
	const uint32_t *number = take(reader, sizeof(*number));
	struct map *map = number ? find_map(*number) : NULL;

	return map ? access_map(BPF_MAP_FREEZE, map, NULL, NULL, 0) : EINVAL;
}

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
static int load_program(struct reader *reader)
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

/* Move what the queue holds to the answer. */
static int drain(uint32_t number)
{
	struct map *map = find_map(number);
	uint8_t *value;
	int error;

	if (number == NONE)
		return 0;
	value = map ? malloc(map->bytes) : NULL;
	if (!value)
		return EINVAL;
	while (!(error = access_map(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map, NULL, value, 0)))
		if ((error = keep(value, map->bytes)))
			break;
	free(value);
	return error == ENOENT ? 0 : error;
}

/* Run every packet through the program at its time. The answer is the time that all of it took, then the results. */
static int replay(struct reader *reader)
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

/* All keys of a map, in the answer; where `values`, each with its value. */
static int list_map(const struct map *map, int values)
{
	uint8_t *key = malloc(map->key_size), *next = malloc(map->key_size), *value = malloc(map->bytes);
	int error = key && next && value ? 0 : ENOMEM, first = 1;

	while (!error && !(error = access_map(BPF_MAP_GET_NEXT_KEY, map, first ? NULL : key, next, 0))) {
		memcpy(key, next, map->key_size);
		first = 0;
		error = keep(key, map->key_size);
		if (!error && values)
			error = access_map(BPF_MAP_LOOKUP_ELEM, map, key, value, 0);
		if (!error && values)
			error = keep(value, map->bytes);
	}
	free(key);
	free(next);
	free(value);
	return error == ENOENT ? 0 : error;
}

/* Hand every key of a map to the program. The answer is the results. */
static int close_flows(struct reader *reader)
{
	const struct close_command *wanted = take(reader, sizeof(*wanted));
	struct map *flows = wanted ? find_map(wanted->flows) : NULL;
	int program = wanted ? find_program(wanted->program) : -1, error;
	size_t length;
	uint32_t duration;
	uint8_t *keys;

	if (!flows || program < 0)
		return EINVAL;
	error = list_map(flows, 0);
	length = answer.length;
	keys = malloc(length + 1);
	if (error || !keys) {
		free(keys);
		return error ? error : ENOMEM;
	}
	memcpy(keys, answer.bytes, length);
	answer.length = 0;
	for (size_t at = 0; at < length && !error; at += flows->key_size) {
		error = test_run(program, keys + at, flows->key_size, 1, &duration);
		if (!error)
			error = drain(wanted->queue);
	}
	free(keys);
	return error;
}

/* The answer is the kernel's mean time of a run, in ns, of each round. */
static int measure(struct reader *reader)
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

static int dump(struct reader *reader)
{
	const uint32_t *number = take(reader, sizeof(*number));
	struct map *map = number ? find_map(*number) : NULL;

	if (!map)
		return EINVAL;
	if (map->type == BPF_MAP_TYPE_QUEUE || map->type == BPF_MAP_TYPE_STACK)
		return drain(*number);
	return list_map(map, 1);
}

static int clear_map(struct reader *reader)
{
	const uint32_t *number = take(reader, sizeof(*number));
	struct map *map = number ? find_map(*number) : NULL;
	uint8_t *key = map ? malloc(map->key_size) : NULL;
	int error = 0;

	if (!key)
		return EINVAL;
	while (!error && !access_map(BPF_MAP_GET_NEXT_KEY, map, NULL, key, 0))
		error = access_map(BPF_MAP_DELETE_ELEM, map, key, NULL, 0);
	free(key);
	return error;
}

static int carry_out(uint32_t command, struct reader *reader)
{
	switch (command) {
	case MAP:
		return create_map(reader);
	case UPDATE:
		return update_map(reader);
	case FREEZE:
		return freeze_map(reader);
	case PROGRAM:
		return load_program(reader);
	case REPLAY:
		return replay(reader);
	case CLOSE:
		return close_flows(reader);
	case MEASURE:
		return measure(reader);
	case DUMP:
		return dump(reader);
	case CLEAR:
		return clear_map(reader);
	}
	return ENOSYS;
}

static int run_script(const uint8_t *script, size_t length)
{
	struct reader whole = {script, length};
	const uint32_t *magic = take(&whole, 8);
	uint32_t number = 0;
	int error = magic && *magic == MAGIC ? 0 : EINVAL;

	while (!error) {
		const struct header *header = take(&whole, sizeof(*header));
		struct reader reader = {NULL, 0};

		if (!header || header->command == END)
			break;
		reader.at = take(&whole, header->length);
		reader.left = header->length;
		answer.length = 0;
		error = reader.at ? carry_out(header->command, &reader) : EINVAL;
		put_record(number++, error, answer.bytes, (uint32_t)answer.length, 0);
	}
	put_record(NONE, error, &number, sizeof(number), 1);
	return error;
}

/* The machine. */

static void count_cpus(void)
{
	char text[64] = "";
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	char *last;

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0) {
		last = strrchr(text, '-');
		cpus = (uint32_t)atoi(last ? last + 1 : text) + 1;
	}
	close(fd);
}

static void set_up_machine(void)
{
	int fd;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	fd = open("/proc/sys/net/core/bpf_jit_enable", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "1\n", 2) < 0)
			print("no JIT\n", 7);
		close(fd);
	}
}

int main(int count, char **arguments)
{
	int alone = getpid() == 1, fd, error;
	/* The kernel hands what it doesn't know of its command line to process 1. */
	const char *path = count > 1 && !alone ? arguments[1] : "/script";
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct stat facts;
	const void *script;

	if (alone)
		set_up_machine();
	count_cpus();
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = fd < 0 || fstat(fd, &facts) ? errno : 0;
	if (!error) {
		script = mmap(NULL, (size_t)facts.st_size + 1, PROT_READ, MAP_PRIVATE, fd, 0);
		error = script == MAP_FAILED ? errno : run_script(script, (size_t)facts.st_size);
	} else {
		put_record(NONE, error, NULL, 0, 1);
	}
	if (alone) {
		tcdrain(STDOUT_FILENO);
		reboot(RB_POWER_OFF);
	}
	return error ? 1 : 0;
}
