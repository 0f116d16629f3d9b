/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_listener: one group of sockets in the order of slots, ports in use and freed later, few
 * descriptors.
 */
#include "quic/quic_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <linux/filter.h>
#include <apr_general.h>

#include "tap.h"
#include "loopback.h"

static quic_udp_batch *batch;

static int int_option(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof(v);

    getsockopt(fd, level, name, &v, &len);
    return v;
}

/* A program that picks `index` steers a datagram to that slot: so all are one group, in order. */
static void test_group(void)
{
    enum { N = 5 };
    quic_listener *l = open_on("127.0.0.1", 0, 0, N), *second;
    int fd, i, right = 0, others = 0, flags = 0;

    if (!ok(l != NULL, "five sockets on one port")) {
        return;
    }
    ok(quic_addr_port(&l->addr) != 0, "port 0 became a real one");
    fd = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr));
    for (i = 0; i < N; ++i) {
        struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, (uint32_t)i);
        struct sock_fprog prog;
        const quic_datagram *d;
        int k;

        memset(&prog, 0, sizeof(prog)); /* the padding goes to the kernel too */
        prog.len = 1;
        prog.filter = &code;
        if (setsockopt(l->fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) != 0) {
            fail("attach: %s", strerror(errno));
            break;
        }
        send(fd, "x", 1, 0);
        right += receive(batch, l, i, &d) == 1 && d->len == 1 && d->data[0] == 'x';
        for (k = 0; k < N; ++k) {
            others += readable(l->fd[k], 0);
        }
        flags += (fcntl(l->fd[i], F_GETFD) & FD_CLOEXEC) && (fcntl(l->fd[i], F_GETFL) & O_NONBLOCK);
    }
    is_int(right, N, "all sockets are one group in slot order");
    is_int(others, 0, "and nothing goes to another");
    is_int(flags, N, "all non-blocking and close-on-exec");
    is_int(l->tcp_port, 443, "the TCP port it stands for");
    is_int(int_option(l->fd[1], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE, "never fragments");
    ok(l->rcvbuf > 100000 && l->sndbuf > 100000, "buffers of %d and %d", l->rcvbuf, l->sndbuf);
    quic_listener_set_bufsize(l, 65536);
    ok(l->rcvbuf == 65536 && l->sndbuf == 65536, "made smaller: %d and %d", l->rcvbuf, l->sndbuf);
    is_int(int_option(l->fd[4], SOL_SOCKET, SO_RCVBUF), 2 * 65536, "on every socket");

    second = open_on("127.0.0.1", quic_addr_port(&l->addr), 0, 2);
    ok(second == NULL, "a second listener on a port in use is refused");
    quic_listener_unshare(l);
    is_int(l->nslots, 1, "one socket stays");
    for (i = 0, right = 0; i < 20; ++i) {
        const quic_datagram *d;
        int from = connect_client("127.0.0.1", "127.0.0.1", quic_addr_port(&l->addr));
        send(from, "y", 1, 0);
        right += receive(batch, l, 0, &d) == 1;
        close(from);
    }
    is_int(right, 20, "and gets everything");
    close(fd);
    quic_listener_close(l);
}

static void test_port_in_use(void)
{
    quic_addr a = addr_of("127.0.0.1", 0), b;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    quic_listener *l = NULL, inherited;
    const char *what = NULL;
    apr_status_t rv;

    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    ok(bind(fd, &a.sa, sizeof(a.in)) == 0, "another server's socket, with SO_REUSEPORT");
    b = name_of(fd);
    if (!ok(quic_listener_open(&l, &b, 443, 0, 3, BUFSIZE, &what) == APR_SUCCESS, "sockets")) {
        return;
    }
    rv = quic_listener_bind(l, &what);
    ok(rv == APR_FROM_OS_ERROR(EADDRINUSE), "its port is in use, never shared");
    is_str(what, "bind", "and bind said so");
    ok(!quic_listener_is_bound(l) && !quic_listener_look(l), "it is not bound");

    /* A child has inherited the sockets, and maybe played with them. */
    setsockopt(l->fd[0], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    ok(quic_listener_bind(l, &what) == APR_FROM_OS_ERROR(EADDRINUSE), "nor shared then");
    inherited = *l;
    close(fd);
    ok(quic_listener_bind(l, &what) == APR_SUCCESS && quic_listener_is_bound(l), "free, so bound");
    ok(!quic_listener_is_bound(&inherited) && quic_listener_look(&inherited) == 1
           && quic_listener_is_bound(&inherited) && quic_listener_look(&inherited) == 0,
       "which a child finds out, once");
    ok(quic_listener_bind(l, &what) == APR_SUCCESS, "once more does nothing");
    quic_listener_close(l);

    b = addr_of("192.0.2.77", 0);
    rv = quic_listener_open(&l, &b, 443, 0, 2, BUFSIZE, &what);
    ok(rv == APR_SUCCESS && quic_listener_bind(l, &what) == APR_FROM_OS_ERROR(EADDRNOTAVAIL),
       "an address that is not ours");
    quic_listener_close(l);
}

/* Sockets for HTTP/3 leave descriptors for others. */
static void test_few_descriptors(void)
{
    struct rlimit limit, few;
    quic_addr a = addr_of("127.0.0.1", 0);
    const char *what = NULL;
    quic_listener *l;
    apr_status_t rv;
    int fd[64], n;

    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;
    few.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &few);
    rv = quic_listener_open(&l, &a, 443, 0, 60, BUFSIZE, &what);
    ok(rv == APR_FROM_OS_ERROR(EMFILE) && !l, "60 of 64 descriptors: too many");
    rv = quic_listener_open(&l, &a, 443, 0, 30, BUFSIZE, &what);
    ok(rv == APR_SUCCESS && quic_listener_bind(l, &what) == APR_SUCCESS, "30 can be had");
    for (n = 0; n < 64 && (fd[n] = dup(0)) >= 0; ++n) {}
    ok(n >= 16, "and %d are left", n);
    while (n-- > 0) {
        close(fd[n]);
    }
    quic_listener_close(l);
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    batch = quic_udp_batch_create(pool);
    test_group();
    test_port_in_use();
    test_few_descriptors();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
