/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_limits.h"

/* Uni streams: control, QPACK encoder and decoder, and room for greased ones. */
#define UNI_STREAMS 8
#define UNI_WINDOW (64 * 1024)
#define CIDS 7
/*
 * Besides the windows: for each stream the block of 8 KiB in which something has come out of order,
 * and the gaps of a network that loses much. (In the handshake, where the client may be forged, it
 * is a ClientHello in pieces.)
 */
#define MEM_OPEN (256 * 1024)
#define MEM_STREAM (12 * 1024)

void quic_limits_fill(ngtcp2_transport_params *tp, const quic_limits *limits)
{
    tp->initial_max_stream_data_bidi_remote = limits->window;
    tp->initial_max_stream_data_uni = UNI_WINDOW;
    tp->initial_max_data = limits->conn_window;
    tp->initial_max_streams_bidi = limits->streams;
    tp->initial_max_streams_uni = UNI_STREAMS;
    tp->max_idle_timeout = limits->idle;
    tp->active_connection_id_limit = CIDS;
    tp->grease_quic_bit = 1;
}

size_t quic_limits_mem(const ngtcp2_transport_params *tp)
{
    return MEM_OPEN + quic_limits_mem_of_window(tp->initial_max_data)
           + MEM_STREAM * (size_t)tp->initial_max_streams_bidi;
}

size_t quic_limits_mem_of_window(uint64_t window)
{
    return 2 * (size_t)window;
}
