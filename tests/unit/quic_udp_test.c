/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_udp on real sockets of the loopback interface, ports given by the
 * kernel; sendmsg fails where the test wants it to. The last tests run in a
 * network namespace of their own, if the machine permits it.
 */
#include "quic/quic_udp.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <apr_general.h>

#include "tap.h"
#include "loopback.h"

static quic_udp_batch *batch;
static uint8_t payload[200000];

/* What the next calls of sendmsg do instead of sending. */
static struct {
    int err;
    int times;
    int only_gso;
    int after;     /* calls that go through first */
    int calls;     /* counts all */
    int gso_calls; /* of these: with a segment size */
} fault;

static int has_cmsg(const struct msghdr *msg, int level, int type)
{
    struct cmsghdr *c;

    for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
        if (c->cmsg_level == level && c->cmsg_type == type) {
            return 1;
        }
    }
    return 0;
}

/* Takes the place of libc's for quic_udp.o. */
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    int gso = has_cmsg(msg, IPPROTO_UDP, UDP_SEGMENT);

    ++fault.calls;
    fault.gso_calls += gso;
    if (fault.times > 0 && fault.calls > fault.after && (gso || !fault.only_gso)) {
        --fault.times;
        errno = fault.err;
        return -1;
    }
    return syscall(SYS_sendmsg, fd, msg, flags);
}

static void set_fault(int err, int times, int only_gso)
{
    memset(&fault, 0, sizeof(fault));
    fault.err = err;
    fault.times = times;
    fault.only_gso = only_gso;
}

/* One datagram there with ECN bits and one back: both ends see the right addresses and bits. */
static void test_path(const char *listen_ip, int v6only, const char *from, const char *to)
{
    quic_listener *l = open_on(listen_ip, 0, v6only, 2);
    int fd, ecn, right_ecn = 0, right_addr = 0, back_ecn = 0, back_addr = 0;
    uint16_t port;

    if (!l) {
        if (strchr(listen_ip, ':')) {
            skip("no IPv6 here");
        }
        else {
            fail("no listener on %s", listen_ip);
        }
        return;
    }
    quic_listener_unshare(l);
    port = quic_addr_port(&l->addr);
    fd = connect_client(from, to, port);
    if (fd < 0) {
        skip("this address is not on the machine");
        quic_listener_close(l);
        return;
    }
    for (ecn = 0; ecn < 4; ++ecn) {
        quic_addr client = name_of(fd), called = addr_of(to, port);
        const quic_datagram *d;
        char control[128], in[16];
        struct iovec iov = { .iov_base = in, .iov_len = sizeof(in) };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control) };
        struct cmsghdr *c;
        size_t sent;
        int v6 = client.sa.sa_family == AF_INET6, one = 1;

        setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &ecn,
                   sizeof(ecn));
        setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, &one,
                   sizeof(one));
        send(fd, "ping", 4, 0);
        if (receive(batch, l, 0, &d) != 1) {
            continue;
        }
        right_ecn += d->ecn == ecn;
        right_addr += quic_addr_equal(&d->remote, &client) && quic_addr_equal(&d->local, &called);
        if (quic_udp_send(l->fd[0], &d->local, &d->remote, (uint8_t)ecn, payload, 10, 1200, &sent)
                != QUIC_UDP_SENT
            || sent != 10 || !readable(fd, 2000)) {
            continue;
        }
        /* The client is connected: only a right source address gets through. */
        back_addr += recvmsg(fd, &m, MSG_DONTWAIT) == 10;
        for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            if (c->cmsg_type == (v6 ? IPV6_TCLASS : IP_TOS)) {
                back_ecn += (*CMSG_DATA(c) & 3) == ecn;
            }
        }
    }
    is_int(right_addr, 4, "%s, %s to %s: addresses", listen_ip, from, to);
    is_int(right_ecn, 4, "... ECN of what comes");
    is_int(back_addr, 4, "... answers come from the address that was called");
    is_int(back_ecn, 4, "... ECN of what goes");
    close(fd);
    quic_listener_close(l);
}

/* A GSO message of the sender arrives as one GRO message and is split again. */
static void test_segments(const char *ip)
{
    quic_listener *l = open_on(ip, 0, 1, 1);
    quic_addr here, to;
    size_t len, sent;
    int fd, n, i, right;
    const quic_datagram *d;

    if (!l) {
        skip("no IPv6 here");
        return;
    }
    to = l->addr;
    fd = connect_client(ip, ip, quic_addr_port(&l->addr));
    here = name_of(fd);

    set_fault(0, 0, 0);
    is_int(quic_udp_send(fd, &here, &to, 2, payload, 10 * 1200 + 500, 1200, &sent), QUIC_UDP_SENT,
           "11 segments over %s", ip);
    is_int(sent, 12500, "all sent");
    is_int(fault.calls, 1, "with one system call");
    n = receive(batch, l, 0, &d);
    is_int(n, 11, "11 datagrams arrive");
    for (i = 0, right = 0; i < n; ++i) {
        right += d[i].len == (i < 10 ? 1200u : 500u)
                 && memcmp(d[i].data, payload + i * 1200, d[i].len) == 0 && d[i].ecn == 2
                 && quic_addr_equal(&d[i].remote, &here) && quic_addr_equal(&d[i].local, &to)
                 && d[i].merged == (i > 0);
    }
    is_int(right, 11, "each whole, with its addresses and ECN, all but the first merged");

    set_fault(0, 0, 0);
    quic_udp_send(fd, &here, &to, 0, payload, 150000, 1200, &sent);
    is_int(sent, 150000, "150,000 bytes in one go");
    is_int(fault.calls, 3, "54 segments a call, which are the most below 65,487 bytes");
    for (len = 0, right = 1; len < 150000 && (n = receive(batch, l, 0, &d)) > 0;) {
        for (i = 0; i < n; len += d[i].len, ++i) {
            right &= memcmp(d[i].data, payload + len, d[i].len) == 0;
        }
    }
    ok(right && len == 150000, "arrive in order");

    set_fault(0, 0, 0);
    quic_udp_send(fd, &here, &to, 0, payload, 100 * 40, 40, &sent);
    is_int(fault.calls, 2, "100 small segments: 64 and 36");
    for (right = 0; right < 100 && (n = receive(batch, l, 0, &d)) > 0; right += n) {}
    is_int(right, 100, "arrive");

    /* 128 segments are what the kernel permits a sender, twice what we send. */
    {
        int size = 10;
        setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
        for (len = 1280; len >= 640 && send(fd, payload, len, 0) < 0; len -= 640) {}
        for (right = 0; right < (int)len / 10 && (n = receive(batch, l, 0, &d)) > 0; right += n) {}
        is_int(right, len / 10, "%d segments in one message", right);
        size = 0;
        setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
    quic_listener_gro(l, 0, 0);
    quic_udp_send(fd, &here, &to, 0, payload, 5 * 1200, 1200, &sent);
    for (right = 0; right < 5 && (n = receive(batch, l, 0, &d)) > 0; right += n) {
        for (i = 0; i < n; ++i) {
            right -= d[i].merged || d[i].len != 1200;
        }
    }
    is_int(right, 5, "GRO off: five messages");
    quic_listener_gro(l, 0, 1);
    quic_udp_send(fd, &here, &to, 0, payload, 5 * 1200, 1200, &sent);
    is_int(receive(batch, l, 0, &d), 5, "GRO on again: five datagrams");
    is_int(d[4].merged, 1, "in one message");
    close(fd);
    quic_listener_close(l);
}

static void test_odd_datagrams(void)
{
    quic_listener *l = open_on("127.0.0.1", 0, 0, 1);
    int fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr)), i, n, empty = 0;
    const quic_datagram *d;

    is_int(quic_udp_recv(batch, l->fd[0], 1, &d), 0, "nothing waits");
    send(fd, "", 0, 0);
    n = receive(batch, l, 0, &d);
    ok(n == 1 && d->len == 0, "an empty datagram is delivered");
    for (i = 0; i < 5; ++i) {
        send(fd, "", 0, 0);
    }
    while ((n = receive(batch, l, 0, &d)) > 0) {
        empty += n;
        if (empty == 5) {
            break;
        }
    }
    is_int(empty, 5, "each of several");
    send(fd, payload, 65507, 0);
    n = receive(batch, l, 0, &d);
    ok(n == 1 && d->len == 65507 && memcmp(d->data, payload, 65507) == 0, "the largest of all");
    for (i = 0; i < 40; ++i) {
        uint8_t c = (uint8_t)i;
        send(fd, &c, 1, 0);
    }
    for (i = 0; i < 40 && (n = receive(batch, l, 0, &d)) > 0; i += n) {
        int k;
        for (k = 0; k < n; ++k) {
            empty += d[k].len != 1 || d[k].data[0] != i + k;
        }
    }
    ok(i == 40 && empty == 5, "more than one batch, in order");
    close(fd);
    quic_listener_close(l);
}

/* RFC 9000 section 14.2.1; nothing that the network does may stop the sender. */
static void test_faults(void)
{
    static const int lost[] = { ENOBUFS,  EPERM,         ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
                                EMSGSIZE, EADDRNOTAVAIL, EACCES,      ENETDOWN,     EINVAL };
    quic_listener *l = open_on("127.0.0.1", 0, 0, 1);
    quic_addr here, nowhere = addr_of("127.0.0.1", 0);
    int fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr));
    const quic_datagram *d;
    size_t i, sent;

    here = name_of(fd);
    for (i = 0; i < sizeof(lost) / sizeof(*lost); ++i) {
        set_fault(lost[i], 1, 0);
        is_int(quic_udp_send(fd, &here, &l->addr, 0, payload, 1200, 1200, &sent), QUIC_UDP_SENT,
               "%s: sent, as far as we know", strerror(lost[i]));
        is_int(sent, 1200, "... and counted");
        is_int(fault.calls, 1, "... no second try");
        is_int(quic_udp_recv(batch, l->fd[0], 0, &d), 0, "... lost");
    }
    quic_udp_send(fd, &here, &nowhere, 0, payload, 1200, 1200, &sent);
    is_int(sent, 1200, "a datagram to port 0 is lost too");

    set_fault(EINTR, 3, 0);
    quic_udp_send(fd, &here, &l->addr, 0, payload, 1200, 1200, &sent);
    is_int(receive(batch, l, 0, &d), 1, "EINTR: again");

    set_fault(EAGAIN, 1, 0);
    is_int(quic_udp_send(fd, &here, &l->addr, 0, payload, 3000, 1200, &sent), QUIC_UDP_BLOCKED,
           "EAGAIN: blocked");
    is_int(sent, 0, "nothing sent");
    is_int(fault.calls, 1, "no busy loop");

    set_fault(EINVAL, 1, 1);
    is_int(quic_udp_send(fd, &here, &l->addr, 0, payload, 3000, 1200, &sent), QUIC_UDP_SENT,
           "EINVAL for the whole message");
    is_int(sent, 3000, "sent");
    is_int(fault.calls, 4, "one by one");
    is_int(receive(batch, l, 0, &d), 3, "three arrive");
    set_fault(0, 0, 0);
    quic_udp_send(fd, &here, &l->addr, 0, payload, 3000, 1200, &sent);
    is_int(fault.gso_calls, 1, "the next time GSO is tried again");
    is_int(receive(batch, l, 0, &d), 3, "three arrive");
    close(fd);
    quic_listener_close(l);
}

static void test_full_socket(void)
{
    quic_listener *l = open_on("127.0.0.1", 0, 0, 1);
    int fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr)), n, got = 0;
    quic_addr here = name_of(fd);
    const quic_datagram *d;
    size_t first, second;

    set_fault(EAGAIN, 1, 0);
    fault.after = 1;
    is_int(quic_udp_send(fd, &here, &l->addr, 0, payload, 120000, 1200, &first), QUIC_UDP_BLOCKED,
           "the socket is full after the first call");
    is_int(first, 64800, "what went is said, whole segments");
    is_int(quic_udp_send(fd, &here, &l->addr, 0, payload + first, 120000 - first, 1200, &second),
           QUIC_UDP_SENT, "the rest goes later");
    is_int(first + second, 120000, "all of it");
    while (got < 100 && (n = receive(batch, l, 0, &d)) > 0) {
        got += n;
    }
    is_int(got, 100, "all arrive");
    close(fd);
    quic_listener_close(l);
}

/* A network of our own with an MTU of 1280 bytes; the process stays in it. */
static int enter_small_network(void)
{
    struct ifreq ifr = { .ifr_name = "lo" };
    int fd, rv;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return -1;
    }
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    ifr.ifr_mtu = 1280;
    rv = ioctl(fd, SIOCSIFMTU, &ifr);
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    rv |= ioctl(fd, SIOCSIFFLAGS, &ifr);
    close(fd);
    return rv;
}

static void test_small_mtu(void)
{
    quic_listener *l = open_on("127.0.0.1", 0, 0, 2);
    int fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr));
    quic_addr here = name_of(fd);
    const quic_datagram *d;
    size_t sent;

    quic_listener_unshare(l);
    /* Answers of the listener's own socket: it has IP_MTU_DISCOVER. */
    set_fault(0, 0, 0);
    is_int(quic_udp_send(l->fd[0], &l->addr, &here, 0, payload, 4 * 1400, 1400, &sent),
           QUIC_UDP_SENT, "segments larger than the MTU do not stop the sender");
    is_int(sent, 4 * 1400, "all given up");
    ok(fault.gso_calls == 1 && fault.calls == 5, "after a try with each (%d calls)", fault.calls);
    ok(!readable(fd, 50), "none went out as fragments");
    quic_udp_send(l->fd[0], &l->addr, &here, 0, payload, 1400 + 1000, 1400, &sent);
    ok(sent == 2400 && recv(fd, payload + 100000, 2000, 0) == 1000, "a small last one arrives");
    set_fault(0, 0, 0);
    quic_udp_send(fd, &here, &l->addr, 0, payload, 8 * 1252, 1252, &sent);
    is_int(fault.calls, 1, "the largest that fit go as one message");
    is_int(receive(batch, l, 0, &d), 8, "and arrive");
    close(fd);
    quic_listener_close(l);
}

/* Last: the switch is for the life of the process. */
static void test_gso_off(void)
{
    quic_listener *l = open_on("127.0.0.1", 0, 0, 1);
    int fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr));
    quic_addr here = name_of(fd);
    const quic_datagram *d;
    size_t sent;

    set_fault(EIO, 1, 1);
    is_int(quic_udp_send(fd, &here, &l->addr, 0, payload, 3000, 1200, &sent), QUIC_UDP_SENT,
           "EIO: the device has no GSO");
    is_int(sent, 3000, "sent nevertheless");
    is_int(receive(batch, l, 0, &d), 3, "they arrive");
    set_fault(0, 0, 0);
    quic_udp_send(fd, &here, &l->addr, 0, payload, 3000, 1200, &sent);
    ok(fault.gso_calls == 0 && fault.calls == 3, "GSO is off from now on");
    is_int(receive(batch, l, 0, &d), 3, "they arrive");
    close(fd);
    quic_listener_close(l);
}

int main(void)
{
    apr_pool_t *pool;
    size_t i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    batch = quic_udp_batch_create(pool);
    for (i = 0; i < sizeof(payload); ++i) {
        payload[i] = (uint8_t)(i * 31 + i / 251);
    }

    test_path("127.0.0.1", 0, "127.0.0.1", "127.0.0.1");
    test_path("0.0.0.0", 0, "127.0.0.1", "127.0.0.1");
    test_path("0.0.0.0", 0, "127.0.0.1", "127.0.0.2");
    test_path("::1", 1, "::1", "::1");
    test_path("::", 1, "::1", "::1");
    test_path("::", 0, "::1", "::1");
    test_path("::", 0, "127.0.0.1", "127.0.0.1");
    test_path("::", 0, "127.0.0.3", "127.0.0.2");
    test_segments("127.0.0.1");
    test_segments("::1");
    test_odd_datagrams();
    test_faults();
    test_full_socket();
    if (enter_small_network() == 0) {
        test_small_mtu();
    }
    else {
        skip("no network namespace here");
    }
    test_gso_off();

    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
