/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_pool.h"

#include <apr_allocator.h>
#include <apr_thread_mutex.h>

/*
 * apr-util keeps what is of the whole process (its drivers for DBM files, databases, ciphers) in
 * the topmost pool that it finds above the one it was given, and so may any module. That must be
 * neither a connection's nor one that a stuck worker could lose. Below pconf, what it finds is the
 * process's.
 *
 * A pool's birth and death lock its parent's allocator, for the parent's list of children, and
 * nothing else of the parent; so only this one needs a lock, and nobody allocates from it.
 */
static apr_pool_t *parent; /* set in child_init */

apr_status_t h3_pool_child_init(apr_pool_t *pconf)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *lock;
    apr_status_t rv;

    if ((rv = apr_allocator_create(&allocator)) != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_ex(&parent, pconf, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, parent);
    apr_pool_tag(parent, "h3_pools");
    rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, parent);
    if (rv == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, lock);
    }
    return rv;
}

apr_pool_t *h3_pool_make(const char *tag, apr_size_t max_free)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_max_free_set(allocator, max_free);
    if (apr_pool_create_ex(&pool, parent, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    apr_pool_tag(pool, tag);
    return pool;
}
