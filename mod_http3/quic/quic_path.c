/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_path.h"

#include <string.h>

static void copy_addr(quic_addr *to, const ngtcp2_addr *from);

void quic_path_show(ngtcp2_path *to, quic_path *path)
{
    to->local.addr = &path->local.sa;
    to->local.addrlen = quic_addr_len(&path->local);
    to->remote.addr = &path->remote.sa;
    to->remote.addrlen = quic_addr_len(&path->remote);
    to->user_data = path->listener;
}

static void copy_addr(quic_addr *to, const ngtcp2_addr *from)
{
    memset(to, 0, sizeof(*to));
    memcpy(to, from->addr, from->addrlen < sizeof(*to) ? from->addrlen : sizeof(*to));
}

void quic_path_copy(quic_path *path, const ngtcp2_path *from, quic_listener *listener)
{
    copy_addr(&path->local, &from->local);
    copy_addr(&path->remote, &from->remote);
    path->listener = from->user_data ? from->user_data : listener;
}

int quic_path_equal(const quic_path *a, const quic_path *b)
{
    return quic_addr_equal(&a->local, &b->local) && quic_addr_equal(&a->remote, &b->remote);
}

int quic_path_same_but_port(const quic_path *a, const quic_path *b)
{
    quic_path c = *a;

    if (c.remote.sa.sa_family == AF_INET6) {
        c.remote.in6.sin6_port = b->remote.in6.sin6_port;
    }
    else {
        c.remote.in.sin_port = b->remote.in.sin_port;
    }
    return quic_path_equal(&c, b);
}
