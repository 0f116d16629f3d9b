/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IPv4 or IPv6 address with its UDP port. A value: copied, held in other structures, owned by
 * nobody.
 *
 * Pure functions, for any thread.
 */
#ifndef QUIC_ADDR_H
#define QUIC_ADDR_H

#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <apr_network_io.h>

/* Large enough for both families, and an eighth of a sockaddr_storage. */
typedef union quic_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} quic_addr;

/* What APR has as its own structure. */
quic_addr quic_addr_of(const apr_sockaddr_t *sa);

/* For the system calls that want a socklen_t beside the address. */
socklen_t quic_addr_len(const quic_addr *a);

/* The port in host order. */
uint16_t quic_addr_port(const quic_addr *a);

/* The wildcard address of its family? */
int quic_addr_is_any(const quic_addr *a);

/* Address (with an IPv6 scope) and port are the same. */
int quic_addr_equal(const quic_addr *a, const quic_addr *b);

/* Writes "192.0.2.1:443" or "[2001:db8::1]:443" and returns buf. */
#define QUIC_ADDR_STRLEN 64
const char *quic_addr_str(char buf[QUIC_ADDR_STRLEN], const quic_addr *a);

/* An IPv4-mapped IPv6 address becomes the IPv4 one; others stay. RFC 4291 section 2.5.5.2 */
void quic_addr_unmap(quic_addr *a);

#endif /* QUIC_ADDR_H */
