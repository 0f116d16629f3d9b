/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* In front of each block. */
typedef struct block_head {
    /* What it counts for in `used`; 0: it was not allocated while receiving. */
    _Alignas(max_align_t) size_t counted;
} block_head;

/* What malloc needs besides, about. */
#define MALLOC_OVERHEAD 16

static void *mem_malloc(size_t size, void *user);
static void mem_free(void *ptr, void *user);
static void *mem_calloc(size_t number, size_t size, void *user);
static void *mem_realloc(void *ptr, size_t size, void *user);

void quic_mem_init(quic_mem *m, size_t limit)
{
    m->mem = (ngtcp2_mem){ m, mem_malloc, mem_free, mem_calloc, mem_realloc };
    m->limit = limit;
    m->used = 0;
    m->receiving = 0;
    m->exceeded = 0;
}

/* A block of `size` bytes, or `old` in another size. NULL: no memory, or beyond the limit. */
static void *allocate(quic_mem *m, block_head *old, size_t size)
{
    size_t had = old ? old->counted : 0, counts = 0;
    block_head *b;

    if (size > SIZE_MAX - sizeof(*b) - MALLOC_OVERHEAD) {
        return NULL;
    }
    if (m->receiving || had) {
        counts = sizeof(*b) + MALLOC_OVERHEAD + size;
    }
    if (m->receiving && (m->used - had > m->limit || counts > m->limit - (m->used - had))) {
        m->exceeded = 1;
        return NULL;
    }
    b = realloc(old, sizeof(*b) + size);
    if (!b) {
        return NULL;
    }
    b->counted = counts;
    m->used += counts - had;
    return b + 1;
}

static void *mem_malloc(size_t size, void *user)
{
    return allocate(user, NULL, size);
}

static void mem_free(void *ptr, void *user)
{
    quic_mem *m = user;
    block_head *b = ptr;

    if (b) {
        m->used -= (--b)->counted;
        free(b);
    }
}

static void *mem_calloc(size_t number, size_t size, void *user)
{
    void *ptr;

    if (size && number > SIZE_MAX / size) {
        return NULL;
    }
    ptr = allocate(user, NULL, number * size);
    if (ptr) {
        memset(ptr, 0, number * size);
    }
    return ptr;
}

static void *mem_realloc(void *ptr, size_t size, void *user)
{
    return allocate(user, ptr ? (block_head *)ptr - 1 : NULL, size);
}
