/* SPDX-License-Identifier: Apache-2.0 */
#include "load_sock.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <netinet/udp.h>

#define BUFFER_BYTES (4 << 20)

static uint64_t random_state = 1;

/* What does not work here costs speed or ECN marks, not the connection. */
static void tune(int fd, int family)
{
    int on = 1, size = BUFFER_BYTES, probe;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size))) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size))) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
    if (family == AF_INET6) {
        probe = IPV6_PMTUDISC_PROBE;
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe));
    }
    else {
        probe = IP_PMTUDISC_PROBE;
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe));
    }
}

int load_sock_open(quic_addr *local, const quic_addr *remote)
{
    socklen_t len = sizeof(*local);
    int fd = socket(remote->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0) {
        return -1;
    }
    tune(fd, remote->sa.sa_family);
    if ((local->sa.sa_family == AF_UNSPEC || !bind(fd, &local->sa, quic_addr_len(local)))
        && !connect(fd, &remote->sa, quic_addr_len(remote)) && !getsockname(fd, &local->sa, &len)) {
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

void load_sock_raise_limit(void)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void load_sock_seed(uint64_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15u + 1;
}

int load_sock_is_lost(double p)
{
    if (p <= 0) {
        return 0;
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0 < p;
}

size_t load_sock_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                      const uint8_t *data, size_t len, size_t segsize, double loss, load_stat *st)
{
    size_t done = 0, sent;
    quic_udp_result rv = QUIC_UDP_SENT;

    while (done < len && rv == QUIC_UDP_SENT) {
        size_t n = len - done;

        if (loss > 0) {
            n = n > segsize ? segsize : n;
            if (load_sock_is_lost(loss)) {
                ++st->dropped_out;
                done += n;
                continue;
            }
        }
        sent = 0;
        rv = quic_udp_send(fd, local, remote, ecn, data + done, n, segsize, &sent);
        done += sent;
        st->dgram_out += (sent + segsize - 1) / segsize;
        st->dgram_out_bytes += sent;
    }
    return done;
}
