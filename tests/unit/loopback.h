/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners and clients on the loopback interface, for tests that send through real sockets. The
 * kernel gives the ports. After tap.h, once in a program.
 */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "quic/quic_listener.h"
#include "quic/quic_udp.h"

#define BUFSIZE (1024 * 1024)

TAP_UNUSED static quic_addr addr_of(const char *ip, uint16_t port)
{
    quic_addr a;

    memset(&a, 0, sizeof(a));
    if (strchr(ip, ':')) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        inet_pton(AF_INET6, ip, &a.in6.sin6_addr);
    }
    else {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
        inet_pton(AF_INET, ip, &a.in.sin_addr);
    }
    return a;
}

TAP_UNUSED static quic_listener *open_on(const char *ip, uint16_t port, int v6only, int nslots)
{
    quic_addr a = addr_of(ip, port);
    quic_listener *l;
    const char *what;
    apr_status_t rv = quic_listener_open(&l, &a, 443, v6only, nslots, BUFSIZE, &what);

    if (rv == APR_SUCCESS) {
        rv = quic_listener_bind(l, &what);
    }
    if (rv != APR_SUCCESS) {
        printf("# %s on %s: %s\n", what, ip, strerror(APR_TO_OS_ERROR(rv)));
        if (l) {
            quic_listener_close(l);
        }
        return NULL;
    }
    return l;
}

TAP_UNUSED static int readable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, ms) == 1;
}

TAP_UNUSED static int connect_client(const char *from, const char *to, uint16_t port)
{
    quic_addr a = addr_of(from, 0), b = addr_of(to, port);
    int fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (bind(fd, &a.sa, quic_addr_len(&a)) != 0 || connect(fd, &b.sa, quic_addr_len(&b)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

TAP_UNUSED static quic_addr name_of(int fd)
{
    quic_addr a;
    socklen_t len = sizeof(a);

    memset(&a, 0, sizeof(a));
    getsockname(fd, &a.sa, &len);
    return a;
}

/* The datagrams of one quic_udp_recv; waits for them. */
TAP_UNUSED static int receive(quic_udp_batch *batch, quic_listener *l, int slot,
                              const quic_datagram **out)
{
    readable(l->fd[slot], 2000);
    return quic_udp_recv(batch, l->fd[slot], quic_addr_port(&l->addr), out);
}

#endif /* LOOPBACK_H */
