/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <apr_general.h>
#include <apr_portable.h>
#include "httpd/h3_block.h"
#include "httpd/h3_pool.h"
#include "tap.h"

#define MANY 200 /* more than the store has places */

static apr_status_t count(void *counter)
{
    ++*(int *)counter;
    return APR_SUCCESS;
}

/* What is in a block counts when it ends. */
static h3_block *take_with(int index, int *ended)
{
    h3_block *block = h3_block_take(index);

    if (block) {
        apr_pool_cleanup_register(block->pool, ended, count, apr_pool_cleanup_null);
    }
    return block;
}

static void used_again(void)
{
    int ended = 0;
    h3_block *block = take_with(3, &ended), *other;

    ok(block && block->pool, "a block has a pool");
    other = h3_block_take(3);
    ok(other && other != block, "and one user");
    h3_block_give(block, 3);
    is_int(ended, 1, "what was in it ends when it is given back");
    ok(h3_block_take(3) == block, "it is used again by the worker of its place");
    h3_block_give(block, 3);
    ok(h3_block_take(70) == block, "and by others, where theirs are empty");
    h3_block_give(block, 127);
    h3_block_give(other, 127);
    ok(h3_block_take(127) == block, "a worker begins at its own place");
    ok(h3_block_take(127) == other, "after the last place comes the first");
    h3_block_give(block, 0);
    h3_block_give(other, 0);
}

static void more_than_places(void)
{
    static h3_block *block[MANY];
    int i, ended = 0, all = 1;

    for (i = 0; i < MANY; i++) {
        block[i] = take_with(i, &ended);
        all &= block[i] != NULL;
    }
    ok(all, "as many as are wanted");
    for (i = 0; i < MANY; i++) {
        h3_block_give(block[i], i);
    }
    is_int(ended, MANY, "all of them end, whether they are kept or not");
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int add_csd(h3_block *block)
{
    apr_os_sock_t fd = -1;

    block->csd = h3_csd_create();
    if (block->csd) {
        apr_os_sock_get(&fd, block->csd->socket);
    }
    return fd;
}

static void with_a_socket(void)
{
    h3_block *block = h3_block_take(0);
    int fd = add_csd(block);

    ok(is_open(fd), "a block has a socket");
    h3_block_give(block, 0);
    ok(!is_open(fd), "which ends with what was in the block");
    ok(h3_block_take(0) == block && !block->csd, "the next one has none");
    h3_block_give(block, 0);
}

static void at_rest(void)
{
    static int ended_later; /* counted once more when all pools go */
    int ended = 0, fd;
    h3_block *block = take_with(0, &ended), *later = take_with(0, &ended_later), *last;

    fd = add_csd(block);
    h3_block_rest(block);
    is_int(ended, 0, "what is in a block that rests goes on living");
    h3_block_rest(later);
    is_int(ended, 0, "a moment later, too");
    block->rests_since -= apr_time_from_sec(61);
    last = h3_block_take(0);
    h3_block_rest(last);
    is_int(ended, 1, "a minute later it ends, with the next one that is laid to rest");
    ok(!is_open(fd), "and its socket");
    is_int(ended_later, 0, "but not one that has not rested that long");
}

int main(void)
{
    apr_pool_t *pconf;

    apr_initialize();
    apr_pool_create(&pconf, NULL);
    is_int(h3_pool_child_init(pconf), APR_SUCCESS, "pools can be made");
    used_again();
    more_than_places();
    with_a_socket();
    at_rest();
    apr_pool_destroy(pconf);
    return done_testing();
}
