/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_addr.h"

#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

quic_addr quic_addr_of(const apr_sockaddr_t *sa)
{
    quic_addr a;

    memset(&a, 0, sizeof(a));
    if (sa->family == APR_INET6) {
        a.in6 = sa->sa.sin6;
    }
    else {
        a.in = sa->sa.sin;
    }
    return a;
}

socklen_t quic_addr_len(const quic_addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

uint16_t quic_addr_port(const quic_addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

int quic_addr_is_any(const quic_addr *a)
{
    return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
                                       : a->in.sin_addr.s_addr == INADDR_ANY;
}

int quic_addr_equal(const quic_addr *a, const quic_addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family) {
        return 0;
    }
    if (a->sa.sa_family == AF_INET6) {
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id
               && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    }
    return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

const char *quic_addr_str(char buf[QUIC_ADDR_STRLEN], const quic_addr *a)
{
    char ip[INET6_ADDRSTRLEN] = "?";

    if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
        snprintf(buf, QUIC_ADDR_STRLEN, "[%s]:%u", ip, quic_addr_port(a));
    }
    else {
        inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
        snprintf(buf, QUIC_ADDR_STRLEN, "%s:%u", ip, quic_addr_port(a));
    }
    return buf;
}

void quic_addr_unmap(quic_addr *a)
{
    struct sockaddr_in in = { .sin_family = AF_INET };

    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
        return;
    }
    in.sin_port = a->in6.sin6_port;
    memcpy(&in.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof(in.sin_addr));
    memset(a, 0, sizeof(*a));
    a->in = in;
}
