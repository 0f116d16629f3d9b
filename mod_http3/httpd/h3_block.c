/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_block.h"

#include <stdlib.h>
#include "httpd/h3_pool.h"

/* What a pool keeps for the next request instead of giving it back to the system. */
#define MAX_FREE (256 * 1024)
/* Blocks that wait for their next request. Those of responses on their way are not among them. */
#define PLACES 128
#define REST_TIME apr_time_from_sec(60)

/* Of the child. */
static struct {
    h3_block *free[PLACES]; /* atomic */
    h3_block *resting;      /* atomic; a stack that is taken whole */
} store;

static h3_block *take_free(int index);
static h3_block *make(void);
static void destroy(h3_block *block);
static void push_resting(h3_block *block);

h3_block *h3_block_take(int index)
{
    h3_block *block = take_free(index);

    return block ? block : make();
}

/* Without a lock: a place is emptied and filled by one atomic operation each. */
static h3_block *take_free(int index)
{
    h3_block *block;
    int i;

    for (i = 0; i < PLACES; i++) {
        h3_block **place = &store.free[(index + i) % PLACES];

        if (__atomic_load_n(place, __ATOMIC_RELAXED)
            && (block = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL))) {
            return block;
        }
    }
    return NULL;
}

static h3_block *make(void)
{
    h3_block *block = calloc(1, sizeof(*block));

    if (block && !(block->pool = h3_pool_make("h3_c2", MAX_FREE))) {
        free(block);
        return NULL;
    }
    return block;
}

void h3_block_give(h3_block *block, int index)
{
    h3_block *none;
    int i;

    apr_pool_clear(block->pool);
    if (block->csd) {
        h3_csd_destroy(block->csd);
        block->csd = NULL;
    }
    for (i = 0; i < PLACES; i++) {
        h3_block **place = &store.free[(index + i) % PLACES];

        none = NULL;
        if (!__atomic_load_n(place, __ATOMIC_RELAXED)
            && __atomic_compare_exchange_n(place, &none, block, 0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED)) {
            return;
        }
    }
    destroy(block);
}

void h3_block_rest(h3_block *block)
{
    apr_time_t now = apr_time_now();
    h3_block *next;

    block->rests_since = now;
    block->next = __atomic_exchange_n(&store.resting, NULL, __ATOMIC_ACQ_REL);
    for (; block; block = next) {
        next = block->next;
        if (now - block->rests_since > REST_TIME) {
            destroy(block);
        }
        else {
            push_resting(block);
        }
    }
}

static void push_resting(h3_block *block)
{
    block->next = __atomic_load_n(&store.resting, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&store.resting, &block->next, block, 1, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {}
}

static void destroy(h3_block *block)
{
    apr_pool_destroy(block->pool);
    if (block->csd) {
        h3_csd_destroy(block->csd);
    }
    free(block);
}
