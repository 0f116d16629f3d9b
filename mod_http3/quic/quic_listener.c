/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/udp.h>
#include <sys/resource.h>

static int open_socket(int family, int v6only, const char **what);
static int is_too_many(int fd);
static int set_options(int fd, int family, int v6only, const char **what);
static int set_option(int fd, int level, int name, int value, const char *text, const char **what);
static void grow_buffer(int fd, int size, int forced, int plain);
static int granted_buffer(int fd, int name);

apr_status_t quic_listener_open(quic_listener **out, const quic_addr *addr, uint16_t tcp_port,
                                int v6only, int nslots, int bufsize, const char **what)
{
    quic_listener *l = malloc(sizeof(*l) + (size_t)nslots * sizeof(int));
    int i, err;

    *out = NULL;
    *what = "malloc";
    if (!l) {
        return APR_ENOMEM;
    }
    *l = (quic_listener){ .addr = *addr, .tcp_port = tcp_port, .v6only = v6only };
    l->fd = (int *)(l + 1);

    for (i = 0; i < nslots; ++i) {
        l->fd[i] = open_socket(addr->sa.sa_family, v6only, what);
        if (l->fd[i] < 0) {
            err = errno;
            quic_listener_close(l);
            return APR_FROM_OS_ERROR(err);
        }
        l->nslots = i + 1;
    }
    quic_listener_set_bufsize(l, bufsize);
    *out = l;
    return APR_SUCCESS;
}

static int open_socket(int family, int v6only, const char **what)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP), err;

    *what = "socket";
    if (fd < 0) {
        return -1;
    }
    if (is_too_many(fd)) {
        err = EMFILE;
    }
    else if (set_options(fd, family, v6only, what) != 0) {
        err = errno;
    }
    else {
        return fd;
    }
    close(fd);
    errno = err;
    return -1;
}

/* TCP must find enough descriptors: fd, the lowest that was free, is in the last quarter. */
static int is_too_many(int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
           && (rlim_t)fd >= limit.rlim_cur - limit.rlim_cur / 4;
}

static int set_options(int fd, int family, int v6only, const char **what)
{
    const int on = 1;

    if (family == AF_INET6) {
        if (set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !!v6only, "IPV6_V6ONLY", what) != 0
            || set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO", what) != 0
            || set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS", what) != 0
            || set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE,
                          "IPV6_MTU_DISCOVER", what)
                   != 0) {
            return -1;
        }
    }
    /* A dual-stack socket has the options of both families; PKTINFO comes as IPv6's on it. */
    if (family == AF_INET && set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO", what) != 0) {
        return -1;
    }
    if (family == AF_INET || !v6only) {
        /* PROBE: never fragment, and no ICMP message lowers the MTU. RFC 9000 section 14.2.1 */
        if (set_option(fd, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS", what) != 0
            || set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER",
                          what)
                   != 0) {
            return -1;
        }
    }
    /* Where the kernel cannot (before 5.0), datagrams come one by one. */
    (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    return 0;
}

static int set_option(int fd, int level, int name, int value, const char *text, const char **what)
{
    *what = text;
    return setsockopt(fd, level, name, &value, sizeof(value));
}

apr_status_t quic_listener_bind(quic_listener *l, const char **what)
{
    socklen_t len = sizeof(l->addr);

    /* Sockets of a group are numbered in the order in which they join it. */
    for (; l->nbound < l->nslots; __atomic_add_fetch(&l->nbound, 1, __ATOMIC_RELEASE)) {
        int fd = l->fd[l->nbound], first = l->nbound == 0;

        /* Also where it is the default: a child that has inherited the socket may have set it. */
        if (set_option(fd, SOL_SOCKET, SO_REUSEPORT, !first, "SO_REUSEPORT", what) != 0) {
            return APR_FROM_OS_ERROR(errno);
        }
        *what = "bind";
        if (bind(fd, &l->addr.sa, quic_addr_len(&l->addr)) != 0) {
            return APR_FROM_OS_ERROR(errno);
        }
        if (first) {
            /* Port 0 has become a real one. */
            *what = "getsockname";
            if (getsockname(fd, &l->addr.sa, &len) != 0) {
                return APR_FROM_OS_ERROR(errno);
            }
            (void)set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", what);
        }
    }
    return APR_SUCCESS;
}

int quic_listener_is_bound(const quic_listener *l)
{
    return __atomic_load_n(&l->nbound, __ATOMIC_ACQUIRE) >= l->nslots;
}

int quic_listener_look(quic_listener *l)
{
    quic_addr a;
    socklen_t len = sizeof(a);

    memset(&a, 0, sizeof(a));
    if (quic_listener_is_bound(l) || getsockname(l->fd[l->nslots - 1], &a.sa, &len) != 0
        || quic_addr_port(&a) == 0) {
        return 0;
    }
    __atomic_store_n(&l->nbound, l->nslots, __ATOMIC_RELEASE);
    return 1;
}

void quic_listener_close(quic_listener *l)
{
    int i;

    for (i = 0; i < l->nslots; ++i) {
        close(l->fd[i]);
    }
    free(l);
}

void quic_listener_unshare(quic_listener *l)
{
    while (l->nslots > 1) {
        close(l->fd[--l->nslots]);
    }
    l->nbound = l->nbound > 1 ? 1 : l->nbound;
}

void quic_listener_gro(quic_listener *l, int slot, int on)
{
    (void)setsockopt(l->fd[slot], IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
}

void quic_listener_set_bufsize(quic_listener *l, int bufsize)
{
    int i;

    for (i = 0; i < l->nslots; ++i) {
        grow_buffer(l->fd[i], bufsize, SO_RCVBUFFORCE, SO_RCVBUF);
        grow_buffer(l->fd[i], bufsize, SO_SNDBUFFORCE, SO_SNDBUF);
    }
    l->rcvbuf = granted_buffer(l->fd[0], SO_RCVBUF);
    l->sndbuf = granted_buffer(l->fd[0], SO_SNDBUF);
}

/* Less than was asked for is no failure: granted_buffer() finds it out. */
static void grow_buffer(int fd, int size, int forced, int plain)
{
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
    }
}

/* The kernel doubles what is asked for, for its own overhead. socket(7) */
static int granted_buffer(int fd, int name)
{
    int size = 0;
    socklen_t len = sizeof(size);

    if (getsockopt(fd, SOL_SOCKET, name, &size, &len) != 0) {
        return 0;
    }
    return size / 2;
}
