/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one request, used again by a later one: a pool, and the socket that has to outlive
 * what is in it.
 *
 * The store is the child's, and has no lock. A block is taken by the worker that runs a request
 * and given back by the one that finishes it; in between it belongs to whoever has the request.
 */
#ifndef H3_BLOCK_H
#define H3_BLOCK_H

#include <apr_pools.h>
#include <apr_time.h>
#include "httpd/h3_csd.h"

typedef struct h3_block {
    struct h3_block *next; /* while it rests */
    apr_pool_t *pool;
    h3_csd *csd;            /* destroyed when all that is in the pool has gone; or NULL */
    apr_time_t rests_since; /* while it rests */
} h3_block;

/* An empty one. `index` is the worker's, which looks in its own place first. NULL: no memory. */
h3_block *h3_block_take(int index);

/* What is in it ends. It is kept for another request, or goes back to the system. */
void h3_block_give(h3_block *block, int index);

/*
 * Instead, where a thread may still be on its way back through what is in it: a minute later it
 * goes back to the system, or whenever the next one is laid to rest after that.
 */
void h3_block_rest(h3_block *block);

#endif /* H3_BLOCK_H */
