/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_csd.h"

#include <sys/socket.h>
#include <unistd.h>
#include <apr_allocator.h>
#include <apr_portable.h>
#include "httpd/h3_pool.h"

h3_csd *h3_csd_create(void)
{
    apr_os_sock_info_t info = { .family = AF_INET, .type = SOCK_STREAM, .protocol = IPPROTO_TCP };
    apr_pool_t *pool = h3_pool_make("h3_csd", APR_ALLOCATOR_MAX_FREE_UNLIMITED);
    h3_csd *csd;
    int fd[2];

    if (!pool) {
        return NULL;
    }
    csd = apr_pcalloc(pool, sizeof(*csd));
    csd->pool = pool;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
        apr_pool_destroy(pool);
        return NULL;
    }
    close(fd[1]);
    info.os_sock = &fd[0];
    /* Asked once, APR never asks the kernel again: what it has can be filled in from then on. */
    if (apr_os_sock_make(&csd->socket, &info, pool) != APR_SUCCESS
        || apr_socket_addr_get(&csd->local, APR_LOCAL, csd->socket) != APR_SUCCESS
        || apr_socket_addr_get(&csd->remote, APR_REMOTE, csd->socket) != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return NULL;
    }
    return csd;
}

void h3_csd_destroy(h3_csd *csd)
{
    apr_pool_destroy(csd->pool);
}

void h3_csd_lend(h3_csd *csd, const conn_rec *c)
{
    h3_csd_copy_addr(csd->local, c->local_addr, c->pool);
    h3_csd_copy_addr(csd->remote, c->client_addr, c->pool);
    apr_socket_timeout_set(csd->socket, c->base_server->timeout);
}

void h3_csd_retire(h3_csd *csd)
{
    if (!h3_csd_is_closed(csd)) {
        apr_socket_close(csd->socket);
    }
}

int h3_csd_is_closed(const h3_csd *csd)
{
    apr_os_sock_t fd;

    return apr_os_sock_get(&fd, csd->socket) != APR_SUCCESS || fd < 0;
}

void h3_csd_copy_addr(apr_sockaddr_t *to, const apr_sockaddr_t *from, apr_pool_t *pool)
{
    *to = *from;
    to->pool = pool;
    to->hostname = to->servname = NULL;
    to->next = NULL;
    to->ipaddr_ptr =
        to->family == AF_INET ? (void *)&to->sa.sin.sin_addr : (void *)&to->sa.sin6.sin6_addr;
}
