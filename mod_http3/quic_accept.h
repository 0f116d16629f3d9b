/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that no connection owns: Version Negotiation, stateless reset,
 * refusal, or the birth of a connection.
 *
 * On the I/O thread. Nothing is kept of a datagram that gives no connection.
 */
#ifndef QUIC_ACCEPT_H
#define QUIC_ACCEPT_H

#include "quic_conn.h"

/*
 * Whatever a socket has received: finds its connection, or does what RFC 9000 section 5.2.2 says.
 */
void quic_accept_datagram(quic_env *env, quic_listener *listener, const quic_datagram *dg);

#endif /* QUIC_ACCEPT_H */
