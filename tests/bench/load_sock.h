/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets of the client: one per connection, so that every connection has
 * a 4-tuple of its own as real clients do; and the losses of --loss.
 */
#ifndef LOAD_SOCK_H
#define LOAD_SOCK_H

#include <stddef.h>
#include <stdint.h>
#include "load_opts.h"
#include "load_stat.h"

/*
 * A non-blocking socket from `local`'s address (family AF_UNSPEC: the kernel
 * chooses) to `remote`. Fills `local` with what it is bound to. -1: errno.
 */
int load_sock_open(quic_addr *local, const quic_addr *remote);

/* Raises the limit of open files to what the kernel permits. */
void load_sock_raise_limit(void);

/* Seeds the losses. */
void load_sock_seed(uint64_t seed);
/* 1 with probability p. */
int load_sock_is_lost(double p);

/*
 * quic_udp_send with losses and counting; with --loss each datagram is sent on its own.
 * The number of bytes that are done with; less than `len`: the socket is full.
 */
size_t load_sock_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                      const uint8_t *data, size_t len, size_t segsize, double loss, load_stat *st);

#endif /* LOAD_SOCK_H */
