/* What model.h needs of libbpf's header, for a program of user space: maps are variables. */
#ifndef BPF_HELPERS_H
#define BPF_HELPERS_H

#include <stddef.h>

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name

static void *find(const void *map, const void *key);
#define bpf_map_lookup_elem(map, key) find(map, key)

#endif
