/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the client: stream data into nghttp3, and what nghttp3 makes of it (heads, bodies, their
 * ends) into h3_streams, whose requests begin here.
 *
 * Runs on the I/O thread. h3_recv_client_* are members of quic_app_ops (quic_conn.h says when they
 * are called): `app` is the h3_session, and -1 means that its connection is to be closed.
 */
#ifndef H3_RECV_H
#define H3_RECV_H

#include "h3/h3_seam.h"

/* Fills in what nghttp3 calls about requests. */
void h3_recv_callbacks(nghttp3_callbacks *cb);

/* STREAM: the next bytes, in order; NGTCP2_STREAM_DATA_FLAG_*. */
int h3_recv_client_sent(void *app, uint32_t flags, int64_t stream_id, const uint8_t *data,
                        size_t len);

/*
 * RESET_STREAM: the request will never be complete, so its response is of no use either. RFC 9114
 * section 4.1.1
 */
int h3_recv_client_reset(void *app, int64_t stream_id);

/*
 * A request without content-length whose method has no content has waited for its FIN since its
 * head was complete: it is served without one when that has taken too long.
 */
void h3_recv_end_wait(h3_session *ss, h3_stream *s);

#endif /* H3_RECV_H */
