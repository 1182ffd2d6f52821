/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The script: reading it, and carrying out a command after the other. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x54414731u

enum command { END, MAP, UPDATE, FREEZE, PROGRAM, REPLAY, CLOSE, MEASURE, DUMP, CLEAR };

struct header {
	uint32_t command;
	uint32_t length;
};

struct map maps[MAPS];
int programs[PROGRAMS];
uint32_t map_count, program_count, cpus = 1;
struct buffer answer;

int keep(const void *bytes, size_t length)
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

const void *take(struct reader *reader, size_t length)
{
	const uint8_t *at = reader->at;

	length = ALIGNED(length);
	if (length > reader->left)
		return NULL;
	reader->at += length;
	reader->left -= length;
	return at;
}

struct map *find_map(uint32_t number)
{
	return number < map_count ? &maps[number] : NULL;
}

int find_program(uint32_t number)
{
	return number < program_count ? programs[number] : -1;
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

int run_script(const uint8_t *script, size_t length)
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
