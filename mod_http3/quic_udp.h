/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets: opening them in the parent, receiving with recvmmsg and GRO,
 * sending with sendmsg and GSO, with the local address (PKTINFO) and ECN of
 * every datagram.
 *
 * A quic_listener is one listening address with one SO_REUSEPORT socket per
 * slot, all of one reuseport group in slot order. Opened by the parent (no
 * threads), inherited by every child. A child's I/O thread alone reads and
 * writes its slot's sockets; all are non-blocking and close-on-exec.
 */
#ifndef QUIC_UDP_H
#define QUIC_UDP_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <apr_pools.h>
#include <ngtcp2/ngtcp2.h>

#define QUIC_UDP_MAX_DATAGRAM 65535

/* Large enough for what we speak, an eighth of sockaddr_storage. */
typedef union quic_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} quic_addr;

socklen_t quic_addr_len(const quic_addr *a);
uint16_t quic_addr_port(const quic_addr *a);                 /* host order */
int quic_addr_equal(const quic_addr *a, const quic_addr *b); /* address and port */
/* "192.0.2.1:443", "[2001:db8::1]:443"; returns buf. */
#define QUIC_ADDR_STRLEN 64
const char *quic_addr_str(char buf[QUIC_ADDR_STRLEN], const quic_addr *a);
/* An IPv4-mapped IPv6 address becomes the IPv4 one; others stay. */
void quic_addr_unmap(quic_addr *a);

typedef struct quic_listener {
    quic_addr addr;    /* bound address and UDP port */
    uint16_t tcp_port; /* the TCP port whose virtual hosts it stands for, host order */
    int nslots;
    int *fd;            /* [nslots], index = slot */
    int rcvbuf, sndbuf; /* what the kernel granted, bytes, comparable with what was asked for */
    int v6only;
    int steered; /* quic_route: the group has had its program */
    /* Of the I/O thread, for the socket of our slot. */
    int full;               /* it took nothing more */
    uint64_t gro_off_until; /* nanoseconds; 0: GRO is on */
} quic_listener;

/*
 * Binds nslots sockets to `addr`. The first is bound without SO_REUSEPORT, so
 * that a port in use by another server is EADDRINUSE here and never shared in
 * silence; the others join its group. `bufsize` is asked for as SO_RCVBUF and
 * SO_SNDBUF (FORCE variants as root). The structure is malloc'ed: it outlives
 * the configuration. Fails with the errno of the failing call, *what names it.
 */
apr_status_t quic_listener_open(quic_listener **l, const quic_addr *addr, uint16_t tcp_port,
                                int v6only, int nslots, int bufsize, const char **what);
void quic_listener_close(quic_listener *l);
/* Closes all sockets but slot 0's, so that it gets every datagram; before the first fork only. */
void quic_listener_unshare(quic_listener *l);
/*
 * GRO puts datagrams of one client socket together, also those of two connections
 * that belong to two children; the steering program sees the first one's id only.
 * So foreign datagrams that are `merged` mean that a client has several
 * connections on a socket: GRO is better off for this slot then, for a while.
 */
void quic_listener_gro(quic_listener *l, int slot, int on);
/* Applies another buffer size to a listener that is kept over a restart. */
void quic_listener_set_bufsize(quic_listener *l, int bufsize);

/* One received datagram; `data` is valid until the next quic_udp_recv on the same batch. */
typedef struct quic_datagram {
    const uint8_t *data;
    size_t len;
    quic_addr remote;
    quic_addr local; /* destination address of the datagram, with the socket's port */
    uint8_t ecn;     /* the two ECN bits, NGTCP2_ECN_* */
    uint8_t merged;  /* came behind another one in a GRO message: steered by that one's id */
} quic_datagram;

/* Receive buffers of one I/O thread. */
typedef struct quic_udp_batch quic_udp_batch;
quic_udp_batch *quic_udp_batch_create(apr_pool_t *pool);

/*
 * Reads what waits on `fd`, one recvmmsg, GRO segments already split. Returns
 * the number of datagrams (0: none wait), *out points to them. `port` is the
 * socket's own port, host order. Errors of single datagrams (ICMP) are
 * swallowed. Zero-length datagrams are delivered: the caller's budget counts them.
 */
int quic_udp_recv(quic_udp_batch *batch, int fd, uint16_t port, const quic_datagram **out);

typedef enum {
    QUIC_SENT,        /* all sent, or lost as a network may lose (EMSGSIZE, unreachable ...) */
    QUIC_SEND_BLOCKED /* the socket is full; *sent bytes went; try again when it is writable */
} quic_send_result;

/*
 * Sends `len` bytes as datagrams of `segsize` bytes (the last may be shorter)
 * from `local` to `remote` with the ECN bits. Uses GSO (at most 64 segments and 65,487
 * bytes in a call) where the kernel does; EIO switches it off for the process. Never
 * blocks. *sent counts whole segments handed to the kernel or given up.
 */
quic_send_result quic_udp_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                               const uint8_t *data, size_t len, size_t segsize, size_t *sent);

#endif /* QUIC_UDP_H */
