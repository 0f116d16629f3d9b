/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_udp.h"

#include <errno.h>
#include <string.h>
#include <netinet/udp.h>
#include <sys/socket.h>

/*
 * Messages of one recvmmsg. Measured on loopback, 8 cost the same as 64: some 0.65 us per message,
 * and 0.05 us per datagram where GRO makes one of 48. A buffer holds the largest message there is,
 * but pages that are never touched cost nothing: 16 pages for a child that gets small messages,
 * 1 MiB at most.
 */
#define BATCH_MESSAGES 16
#define MESSAGE_MAX 65535
#define BUFFER_SIZE (MESSAGE_MAX + 1)
/* The kernel's UDP_MAX_SEGMENTS, which a sender on this host may use up; GRO makes 64 at most. */
#define GRO_SEGMENTS_MAX 128

#define GSO_SEGMENTS_MAX 64
#define GSO_BYTES_MAX 65487 /* 65535 less the headers of IPv6 and UDP */

typedef union {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))
             + 3 * CMSG_SPACE(sizeof(int))];
} control_block;

struct quic_udp_batch {
    uint8_t *buffers;
    struct mmsghdr msgs[BATCH_MESSAGES];
    struct iovec iov[BATCH_MESSAGES];
    quic_addr names[BATCH_MESSAGES];
    control_block controls[BATCH_MESSAGES];
    quic_datagram datagrams[BATCH_MESSAGES * GRO_SEGMENTS_MAX];
};

static int read_batch(quic_udp_batch *batch, int fd);
static int split_message(quic_datagram *out, const struct mmsghdr *m, uint16_t port);
static size_t read_control(struct msghdr *msg, quic_addr *local, uint8_t *ecn);
static void put_control(struct msghdr *msg, const quic_addr *local, uint8_t ecn);
static void put_cmsg(struct msghdr *msg, int level, int type, const void *data, size_t len);
static int send_segments(int fd, struct msghdr *msg, size_t len, size_t segsize);

/* One I/O thread per process sends: no lock. */
static int gso_is_off;

quic_udp_batch *quic_udp_batch_create(apr_pool_t *pool)
{
    quic_udp_batch *batch = apr_palloc(pool, sizeof(*batch));
    int i;

    batch->buffers = apr_palloc(pool, (size_t)BATCH_MESSAGES * BUFFER_SIZE);
    for (i = 0; i < BATCH_MESSAGES; ++i) {
        batch->iov[i].iov_base = batch->buffers + (size_t)i * BUFFER_SIZE;
        batch->iov[i].iov_len = MESSAGE_MAX;
        memset(&batch->msgs[i], 0, sizeof(batch->msgs[i]));
        batch->msgs[i].msg_hdr.msg_iov = &batch->iov[i];
        batch->msgs[i].msg_hdr.msg_iovlen = 1;
        batch->msgs[i].msg_hdr.msg_name = &batch->names[i];
        batch->msgs[i].msg_hdr.msg_control = &batch->controls[i];
    }
    return batch;
}

int quic_udp_recv(quic_udp_batch *batch, int fd, uint16_t port, const quic_datagram **out)
{
    int i, n = 0, nmsgs = read_batch(batch, fd);

    for (i = 0; i < nmsgs; ++i) {
        n += split_message(batch->datagrams + n, &batch->msgs[i], port);
    }
    *out = batch->datagrams;
    return n;
}

static int read_batch(quic_udp_batch *batch, int fd)
{
    int i, n, tries;

    for (i = 0; i < BATCH_MESSAGES; ++i) {
        batch->msgs[i].msg_hdr.msg_namelen = sizeof(batch->names[i]);
        batch->msgs[i].msg_hdr.msg_controllen = sizeof(batch->controls[i]);
    }
    /* An ICMP error is reported once and forgotten: what waits after it is read. */
    for (tries = 0; tries < 4; ++tries) {
        n = recvmmsg(fd, batch->msgs, BATCH_MESSAGES, MSG_DONTWAIT, NULL);
        if (n >= 0) {
            return n;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        }
    }
    return 0;
}

/* Writes the datagrams of a message, returns their number. */
static int split_message(quic_datagram *out, const struct mmsghdr *m, uint16_t port)
{
    struct msghdr msg = m->msg_hdr;
    const uint8_t *data = msg.msg_iov->iov_base;
    size_t len = m->msg_len, segsize;
    quic_datagram d;
    int n = 0;

    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || msg.msg_namelen > sizeof(d.remote)) {
        return 0;
    }
    memset(&d, 0, sizeof(d));
    memcpy(&d.remote, msg.msg_name, msg.msg_namelen);
    d.local.sa.sa_family = d.remote.sa.sa_family;
    segsize = read_control(&msg, &d.local, &d.ecn);
    if (d.local.sa.sa_family == AF_INET6) {
        d.local.in6.sin6_port = htons(port);
    }
    else {
        d.local.in.sin_port = htons(port);
    }
    quic_addr_unmap(&d.remote);
    quic_addr_unmap(&d.local);

    if (segsize == 0) {
        segsize = len;
    }
    do {
        out[n] = d;
        out[n].data = data;
        out[n].len = len < segsize ? len : segsize;
        out[n].merged = n > 0;
        data += out[n].len;
        len -= out[n].len;
        ++n;
    } while (len > 0 && n < GRO_SEGMENTS_MAX);
    return n;
}

/* Returns the size of the segments of a GRO message, 0 if it is one datagram. */
static size_t read_control(struct msghdr *msg, quic_addr *local, uint8_t *ecn)
{
    struct cmsghdr *c;
    size_t segsize = 0;

    for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->in.sin_family = AF_INET;
            local->in.sin_addr = info.ipi_addr;
        }
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->in6.sin6_family = AF_INET6;
            local->in6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
                local->in6.sin6_scope_id = info.ipi6_ifindex;
            }
        }
        else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            *ecn = *CMSG_DATA(c) & 3;
        }
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int tclass;
            memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
            *ecn = tclass & 3;
        }
        else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof(size));
            segsize = size > 0 ? (size_t)size : 0;
        }
    }
    return segsize;
}

quic_udp_result quic_udp_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                              const uint8_t *data, size_t len, size_t segsize, size_t *sent)
{
    control_block control = { .align = { 0 } };
    struct iovec iov;
    struct msghdr msg = { .msg_name = (void *)&remote->sa,
                          .msg_namelen = quic_addr_len(remote),
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control };
    size_t chunk_max = segsize;

    if (!gso_is_off && segsize < GSO_BYTES_MAX) {
        chunk_max = GSO_BYTES_MAX / segsize;
        chunk_max = (chunk_max < GSO_SEGMENTS_MAX ? chunk_max : GSO_SEGMENTS_MAX) * segsize;
    }
    put_control(&msg, local, ecn);

    *sent = 0;
    while (*sent < len) {
        size_t chunk = len - *sent < chunk_max ? len - *sent : chunk_max;
        int err;

        iov.iov_base = (void *)(data + *sent);
        iov.iov_len = chunk;
        err = send_segments(fd, &msg, chunk, segsize);
        if (err == EAGAIN) {
            return QUIC_UDP_BLOCKED;
        }
        if (chunk > segsize && (err == EIO || err == EINVAL || err == EMSGSIZE)) {
            /* EIO: the device cannot. The others refuse these datagrams only as one message. */
            gso_is_off |= err == EIO;
            chunk_max = segsize;
            continue;
        }
        /*
         * All other errors are datagrams lost on their way: too large for the
         * interface (EMSGSIZE: path MTU discovery must see a loss), a full queue
         * (ENOBUFS), a firewall (EPERM), no route. Loss recovery handles them.
         */
        *sent += chunk;
    }
    return QUIC_UDP_SENT;
}

/*
 * The source address and the ECN bits. An IPv4 address goes with IPv4's names
 * over a dual-stack socket too: Linux takes an AF_INET destination there and
 * treats the message as its IPv4 sockets do.
 */
static void put_control(struct msghdr *msg, const quic_addr *local, uint8_t ecn)
{
    int tos = ecn;

    if (local->sa.sa_family == AF_INET6) {
        struct in6_pktinfo info = { .ipi6_addr = local->in6.sin6_addr,
                                    .ipi6_ifindex = local->in6.sin6_scope_id };
        put_cmsg(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    else {
        struct in_pktinfo info = { .ipi_spec_dst = local->in.sin_addr };
        put_cmsg(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    }
    if (tos != 0 && local->sa.sa_family == AF_INET6) {
        put_cmsg(msg, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
    }
    else if (tos != 0) {
        put_cmsg(msg, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
    }
}

/* Appends; msg_control is a control_block, large enough for all that is put there. */
static void put_cmsg(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    msg->msg_controllen += CMSG_SPACE(len);
}

/* One sendmsg; returns 0 or errno. The segment size, if needed, goes after the other cmsgs. */
static int send_segments(int fd, struct msghdr *msg, size_t len, size_t segsize)
{
    struct msghdr m = *msg;

    if (len > segsize) {
        uint16_t size = (uint16_t)segsize;
        put_cmsg(&m, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
    if (m.msg_controllen == 0) {
        m.msg_control = NULL;
    }
    for (;;) {
        if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            return errno == EWOULDBLOCK ? EAGAIN : errno;
        }
    }
}
