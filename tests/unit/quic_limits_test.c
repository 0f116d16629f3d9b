/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_limits.h"
#include "tap.h"

#define KIB 1024

int main(void)
{
    quic_limits limits = {
        .window = 64 * KIB, .conn_window = 1024 * KIB, .streams = 100, .idle = 300 * NGTCP2_SECONDS
    };
    ngtcp2_transport_params tp;

    ngtcp2_transport_params_default(&tp);
    tp.original_dcid_present = 1;
    quic_limits_fill(&tp, &limits);
    is_int(tp.initial_max_stream_data_bidi_remote, 64 * KIB, "a request's window");
    is_int(tp.initial_max_data, 1024 * KIB, "the connection's");
    is_int(tp.initial_max_streams_bidi, 100, "requests at once");
    is_int(tp.max_idle_timeout, 300 * NGTCP2_SECONDS, "idle time");
    is_int(tp.initial_max_stream_data_bidi_local, 0, "we open no stream that is answered");
    ok(tp.initial_max_streams_uni >= 3, "control stream and QPACK's two (RFC 9114 section 6.2)");
    ok(tp.initial_max_stream_data_uni >= 1 * KIB, "with what RFC 9114 section 6.2 asks for");
    ok(tp.original_dcid_present, "the rest stays");
    is_int(quic_limits_mem(&tp), (256 + 2 * 1024 + 100 * 12) * KIB, "memory for all of that");
    return done_testing();
}
