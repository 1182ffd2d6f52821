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
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

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
