/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To the client: heads and bodies of h3_streams into nghttp3, what nghttp3 offers into packets.
 *
 * Runs on the I/O thread. h3_send_packet and the functions below it are members of quic_app_ops
 * (quic_conn.h says when they are called): `app` is the h3_session, and -1 means that its
 * connection is to be closed.
 */
#ifndef H3_SEND_H
#define H3_SEND_H

#include "h3/h3_seam.h"

/* Fills in what nghttp3 calls about responses. */
void h3_send_callbacks(nghttp3_callbacks *cb);

/*
 * An interim or the final head; `no_body`: the final one is all of the response. A second final
 * head breaks the response. The head stays the caller's.
 */
void h3_send_head(h3_session *ss, h3_stream *s, const h3_head *head, int no_body);

/* RESET_STREAM for a response that cannot be completed. */
void h3_send_reset_if_broken(h3_session *ss, h3_stream *s);

/* Writes one packet, as ngtcp2_write_pkt. */
ngtcp2_ssize h3_send_packet(void *app, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest,
                            size_t destlen, ngtcp2_tstamp ts);
/* The end of a batch of packets. */
void h3_send_batch_written(void *app);
/* The client has `len` more bytes of the stream: frames and all, in order. */
int h3_send_client_acked(void *app, int64_t stream_id, uint64_t len);
/* MAX_STREAM_DATA: the client takes more of the stream. */
int h3_send_client_extended(void *app, int64_t stream_id);

#endif /* H3_SEND_H */
