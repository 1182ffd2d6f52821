/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Commands on maps. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The answer is the map's bytes, 64 bits. */
int create_map(struct reader *reader)
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

int update_map(struct reader *reader)
{
	const struct update_command *wanted = take(reader, sizeof(*wanted));
	struct map *map = wanted ? find_map(wanted->map) : NULL;
	const void *key = map ? take(reader, map->key_size) : NULL;
	const void *value = key ? take(reader, map->bytes) : NULL;

	if (!value)
		return EINVAL;
	return access_map(BPF_MAP_UPDATE_ELEM, map, key, (void *)value, wanted->flags);
}

int freeze_map(struct reader *reader)
{
	const uint32_t *number = take(reader, sizeof(*number));
	struct map *map = number ? find_map(*number) : NULL;

	return map ? access_map(BPF_MAP_FREEZE, map, NULL, NULL, 0) : EINVAL;
}

/* Move what the queue holds to the answer. */
int drain(uint32_t number)
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

/* All keys of a map, in the answer; where `values`, each with its value. */
int list_map(const struct map *map, int values)
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

int dump(struct reader *reader)
{
	const uint32_t *number = take(reader, sizeof(*number));
	struct map *map = number ? find_map(*number) : NULL;

	if (!map)
		return EINVAL;
	if (map->type == BPF_MAP_TYPE_QUEUE || map->type == BPF_MAP_TYPE_STACK)
		return drain(*number);
	return list_map(map, 1);
}

int clear_map(struct reader *reader)
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
