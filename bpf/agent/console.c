/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answers as lines of text on a console that kernel messages share. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE 576 /* bytes a line, a multiple of 3 */

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

void print(const char *text, size_t length)
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

void put_record(uint32_t number, int error, const void *bytes, uint32_t length, int last)
{
	uint32_t head[4] = {number, (uint32_t)error, length, 0};

	put(head, sizeof(head), 0);
	put(bytes, length, last);
}
