/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/3 on one QUIC connection (RFC 9114): the life of a session. What it consists of is in
 * h3_seam; h3_recv and h3_send are its two directions.
 *
 * Runs on the I/O thread. A session begins with the connection's 1-RTT keys and ends with the
 * connection; its streams may outlive it in httpd's hands.
 */
#ifndef H3_SESSION_H
#define H3_SESSION_H

#include "conf/h3_config.h"
#include "h3/h3_stream.h"
#include "quic/quic_conn.h"

/* For a quic_endpoint; its app_env is the child's h3_stream_env. */
extern const quic_app_ops h3_session_ops;

/* Takes what rang on the child's bell: credit, heads, bytes, ends. Once per turn of the loop. */
void h3_session_news(h3_stream_env *env);

/* The limits that a virtual host grants in the handshake (RFC 9000 section 18.2). */
void h3_session_limits(quic_limits *limits, const h3_config *conf);

#endif /* H3_SESSION_H */
