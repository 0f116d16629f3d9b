# SPDX-License-Identifier: Apache-2.0
"""Clients that are within the protocol, and yet not what a server expects."""
import pytest


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd()
    httpd.vhost("h3.test")
    return httpd.start()


@pytest.mark.parametrize("data", [b"", b"\x21", b"\x21grease"])
def test_a_stream_that_has_ended_makes_room_for_one(httpd, data):
    """RFC 9000 section 4.6, RFC 9114 section 6.2.3: unidirectional streams of no known type.

    One that ends before its type is known is over for HTTP/3 earlier than for QUIC.
    """
    with httpd.h3() as conn:
        granted, ended = conn.quic._remote_max_streams_uni, 0
        for _ in range(4):
            for _ in range(5):
                stream = conn.quic.get_next_available_stream_id(is_unidirectional=True)
                conn.quic.send_stream_data(stream, data, True)
                ended += 1
            conn.flush()
            conn.ping()
        conn.ping()
        assert 0 < conn.quic._remote_max_streams_uni - granted <= ended
