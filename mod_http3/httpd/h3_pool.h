/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pools of connections, requests and sockets come from: each has an allocator of its
 * own, and all hang below one of the process.
 *
 * Any thread may make one and destroy it. A pool itself is used by one thread at a time.
 */
#ifndef H3_POOL_H
#define H3_POOL_H

#include <apr_pools.h>

/* child_init, before any thread starts. `pconf` is the process's. */
apr_status_t h3_pool_child_init(apr_pool_t *pconf);

/*
 * NULL: no memory. It keeps at most `max_free` bytes for later when it is cleared
 * (APR_ALLOCATOR_MAX_FREE_UNLIMITED: all).
 */
apr_pool_t *h3_pool_make(const char *tag, apr_size_t max_free);

#endif /* H3_POOL_H */
