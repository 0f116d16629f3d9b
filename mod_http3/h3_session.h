/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/3 on one QUIC connection (RFC 9114): the nghttp3_conn and its request
 * streams. The seam: the only file that calls both libraries.
 *
 * Runs on the I/O thread. A session begins with the connection's 1-RTT keys and
 * ends with the connection; its streams may outlive it in httpd's hands.
 */
#ifndef H3_SESSION_H
#define H3_SESSION_H

#include "h3_config.h"
#include "h3_stream.h"
#include "quic_conn.h"

/* For quic_env.app; quic_env.app_env is the child's h3_stream_env. */
extern const quic_app_ops h3_session_ops;

/* Takes what rang on the child's bell: credit, heads, bytes, ends. */
void h3_session_news(h3_stream_env *env);

/*
 * Resets requests whose client has let Timeout pass, ends a connection that has been without any
 * for H3IdleTimeout. For every connection, about once a second.
 */
void h3_session_tick(quic_conn *conn);

/* The limits that a virtual host grants in the handshake. */
void h3_session_limits(quic_limits *limits, const h3_config *conf);

#endif /* H3_SESSION_H */
