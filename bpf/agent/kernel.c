/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf(2), and what the kernel charges for a map. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int call(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

int access_map(int command, const struct map *map, const void *key, void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map->fd;
	attr.key = address(key);
	attr.value = address(value);
	attr.flags = flags;
	return call(command, &attr) ? errno : 0;
}

int test_run(int program, const void *packet, uint32_t length, uint32_t repeat, uint32_t *duration)
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

int is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Bytes that the kernel charges for a map. */
uint64_t map_charge(int map)
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
