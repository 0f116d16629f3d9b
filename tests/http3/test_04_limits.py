# SPDX-License-Identifier: Apache-2.0
"""Limits, malformed messages, and errors of the protocol: each has its status or its code, and
the server goes on."""
import types

import pytest
from aioquic.buffer import Buffer, encode_uint_var as vint

from h3test import content, procs
from h3test.h3conn import (CANCEL_PUSH, DATA, GOAWAY, H3_MESSAGE_ERROR, HEADERS, MAX_PUSH_ID, NAMES,
                           PUSH_PROMISE, SETTINGS, frame, settings_frame)
from h3test.response import ConnectionEnded, StreamEnded
from h3test.wait import until

LINE, FIELDS, FIELD_SIZE = 1000, 20, 500


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd()
    httpd.add("LimitRequestLine %d\nLimitRequestFields %d\nLimitRequestFieldSize %d"
              % (LINE, FIELDS, FIELD_SIZE))
    httpd.vhost("h3.test", "LimitRequestLine %d\nLimitRequestFields %d\nLimitRequestFieldSize %d"
                % (LINE, FIELDS, FIELD_SIZE), aliases=["alias.h3.test"])
    httpd.vhost("wide.h3.test", "LimitRequestLine %d\nLimitRequestFields %d\n"
                "LimitRequestFieldSize %d" % (2 * LINE, 2 * FIELDS, 2 * FIELD_SIZE))
    return httpd.start()


def outcome(httpd, head=None, **request):
    """What becomes of one request on a connection of its own: a status, or ("stream", code), or
    ("connection", code)."""
    with httpd.h3() as conn:
        try:
            if head is None:
                return conn.request(timeout=10, **request).status
            return conn.request(head=head, timeout=10).status
        except StreamEnded as exc:
            return "stream", exc.code
        except ConnectionEnded as exc:
            return "connection", exc.code


def serves(httpd):
    return httpd.fetch("3", "/small.txt").body == content.SMALL


GOOD = [(":method", "GET"), (":scheme", "https"), (":authority", "h3.test"),
        (":path", "/small.txt")]


def changed(name, value):
    return [(n, value if n == name else v) for n, v in GOOD]


def without(name):
    return [f for f in GOOD if f[0] != name]


# -- limits

@pytest.mark.sanitize
def test_request_line(httpd):
    assert outcome(httpd, path="/small.txt?" + "q" * (LINE - 100)) == 200
    assert outcome(httpd, path="/small.txt?" + "q" * LINE) == 414
    assert httpd.fetch("1.1", "/small.txt?" + "q" * LINE).status == 414


@pytest.mark.sanitize
@pytest.mark.parametrize("name", [":method", ":authority", ":scheme"])
def test_other_pseudo_fields_are_limited_too(httpd, name):
    assert outcome(httpd, changed(name, "x" * (2 * LINE))) not in (200, 500)


@pytest.mark.sanitize
def test_number_of_fields(httpd):
    assert outcome(httpd, fields=[("x-%d" % i, "v") for i in range(FIELDS - 4)]) == 200
    assert outcome(httpd, fields=[("x-%d" % i, "v") for i in range(FIELDS + 4)]) == 431


def test_far_too_many_fields(httpd):
    """More than a hundred above the limit is no longer worth an answer."""
    got = outcome(httpd, fields=[("x-%d" % i, "v") for i in range(FIELDS + 400)])
    assert got == 431 or got[0] in ("stream", "connection")
    assert serves(httpd)


@pytest.mark.sanitize
def test_size_of_a_field(httpd):
    assert outcome(httpd, fields=[("x-a", "v" * (FIELD_SIZE - 50))]) == 200
    assert outcome(httpd, fields=[("x-a", "v" * (FIELD_SIZE + 50))]) == 431
    assert outcome(httpd, fields=[("x" * (FIELD_SIZE // 2), "v" * (FIELD_SIZE // 2 + 50))]) == 431


@pytest.mark.sanitize
def test_merged_fields_count(httpd):
    """Each merge is a field, and the merged value has the size of one."""
    assert outcome(httpd, fields=[("x-list", "v")] * (FIELDS - 4)) == 200
    assert outcome(httpd, fields=[("x-list", "v")] * (FIELDS + 4)) == 431
    assert outcome(httpd, fields=[("x-list", "v" * 100)] * 4) == 200
    assert outcome(httpd, fields=[("x-list", "v" * 100)] * 6) == 431


@pytest.mark.sanitize
def test_cookie_crumbs_count(httpd):
    """CVE-2026-49975: crumbs escaped the limits."""
    assert outcome(httpd, fields=[("cookie", "a=b")] * (FIELDS - 4)) == 200
    assert outcome(httpd, fields=[("cookie", "a=b")] * (FIELDS + 4)) == 431
    assert outcome(httpd, fields=[("cookie", "a=" + "b" * 100)] * 4) == 200
    assert outcome(httpd, fields=[("cookie", "a=" + "b" * 100)] * 6) == 431


@pytest.mark.parametrize("request_", [
    {"path": "/small.txt?" + "q" * LINE},
    {"path": "/small.txt", "fields": [("x-%d" % i, "v") for i in range(FIELDS + 1)]},
    {"path": "/small.txt", "fields": [("x-long", "v" * FIELD_SIZE)]},
    {"path": "/small.txt", "fields": [("x-part", "v" * 300)] * 2},
    {"path": "/small.txt", "fields": [("cookie", "a%d=%s" % (i, "v" * 90)) for i in range(8)]},
], ids=["line", "number", "size", "merged", "cookies"])
def test_limits_are_those_of_the_host_in_the_handshake(httpd, request_):
    """Not those of the address's default host, which wants less."""
    assert httpd.fetch("3", **request_).status in (414, 431)
    assert httpd.fetch("3", sni="wide.h3.test", **request_).status == 200


def test_refusals_are_logged_and_have_a_page(httpd):
    with httpd.h3() as conn:
        answer = conn.request("GET", "/limit-page", [("x-a", "v" * (FIELD_SIZE + 50))])
    assert answer.status == 431 and b"431" in answer.body
    # It is logged when the gauges have forgotten it.
    until(lambda: any("/limit-page" in line and " 431 " in line
                      for line in httpd.access().splitlines()), 10, "it is logged")


def qpack_string(data):
    assert len(data) < 127
    return bytes([len(data)]) + data


def prefixed(first, bits, value):
    """An integer with an N-bit prefix (RFC 7541 section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytes([first | limit]), value - limit
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


# Indexed static fields :method GET, :path /, :scheme https, and :authority as a literal.
QPACK_GET = bytes([0xd1, 0xc1, 0xd7, 0x50]) + qpack_string(b"h3.test")


@pytest.mark.sanitize
def test_compression_bomb(httpd):
    """One long entry of the dynamic table, named by thousands of single bytes."""
    with httpd.h3() as conn:
        conn.wait(lambda: conn.peer_settings is not None)
        value = b"b" * 3900
        conn.send_encoder(prefixed(0x20, 5, 4096) + prefixed(0x40, 5, 6) + b"x-bomb"
                          + prefixed(0x00, 7, len(value)) + value)
        stream = conn.open_stream()
        block = b"\x02\x00" + QPACK_GET + b"\x80" * 8000
        try:
            stream.raw(frame(HEADERS, block), end=True)
            status = stream.finish(15).status
        except (StreamEnded, ConnectionEnded) as exc:
            status = exc.code
        assert status == 431 or status in NAMES, status
    assert serves(httpd)
    for pid in httpd.children():
        assert procs.kib(pid, "VmHWM") < 200 * 1024 or not httpd.measurable


def test_many_long_lines_of_one_field(make_httpd):
    """Within the limits of number and of size, and far beyond once they are one field: what has
    been put together is not copied again for each further line."""
    httpd = make_httpd()
    httpd.vhost("h3.test").start()
    line = b"\x26x-long" + prefixed(0x00, 7, 3900) + b"b" * 3900
    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt").status == 200
        procs.reset_peak(httpd.child())
        before = procs.kib(httpd.child(), "VmRSS")
        streams = [conn.open_stream() for _ in range(8)]
        for stream in streams:
            stream.raw(frame(HEADERS, b"\0\0" + QPACK_GET + 90 * line), end=True)
        assert [stream.finish(15).status for stream in streams] == [431] * 8
    if httpd.measurable:
        assert procs.kib(httpd.child(), "VmHWM") - before < 12 * 1024


@pytest.mark.parametrize("length", [60000, 200000])
def test_a_field_longer_than_any_limit(httpd, length):
    """Encoded by hand: the client's library encodes no such field."""
    block = b"\0\0" + QPACK_GET + b"\x23x-a" + prefixed(0x00, 7, length) + b"v" * length
    with httpd.h3() as conn:
        stream = conn.open_stream()
        try:
            stream.raw(frame(HEADERS, block), end=True)
            status = stream.finish().status
        except (StreamEnded, ConnectionEnded) as exc:
            status = exc.code
        assert status == 431 or status in NAMES, status
    assert serves(httpd)


def test_more_streams_than_allowed(httpd):
    """RFC 9000 section 4.6."""
    with httpd.h3() as conn:
        conn.quic.assume_max_streams(1000)
        for _ in range(150):
            conn.open("GET", "/cgi-bin/wait.cgi?1")
        how = conn.wait_end()
        assert how.transport and how.code == 0x4
    assert serves(httpd)


def test_all_allowed_streams_at_once(httpd):
    with httpd.h3() as conn:
        streams = [conn.open("GET", "/small.txt") for _ in range(100)]
        assert [s.finish().body for s in streams] == [content.SMALL] * 100


# -- malformed messages

MALFORMED = {
    "no method": without(":method"),
    "no path": without(":path"),
    "no scheme": without(":scheme"),
    "empty path": changed(":path", ""),
    "two paths": GOOD + [(":path", "/")],
    "two methods": [(":method", "GET")] + GOOD,
    "unknown pseudo field": GOOD + [(":protocol-x", "y")],
    "pseudo field of responses": GOOD + [(":status", "200")],
    "pseudo field behind a field": GOOD[:3] + [("x-a", "b")] + GOOD[3:],
    "upper case": GOOD + [("X-Upper", "v")],
    "connection": GOOD + [("connection", "close")],
    "keep-alive": GOOD + [("keep-alive", "timeout=5")],
    "proxy-connection": GOOD + [("proxy-connection", "close")],
    "transfer-encoding": GOOD + [("transfer-encoding", "chunked")],
    "upgrade": GOOD + [("upgrade", "h2c")],
    "te that is not trailers": GOOD + [("te", "gzip")],
    "content-length that is no number": GOOD + [("content-length", "ten")],
    "negative content-length": GOOD + [("content-length", "-1")],
    "two different content-lengths": GOOD + [("content-length", "1"), ("content-length", "2")],
    "neither authority nor host": without(":authority"),
    "empty authority": changed(":authority", ""),
    "connect without :protocol's setting": [(":protocol", "websocket")] + changed(
        ":method", "CONNECT"),
    "connect with a path": changed(":method", "CONNECT"),
    "space in the method": changed(":method", "GE T"),
    "line end in the method": changed(":method", "GET\r\nX: y"),
    "space in the path": changed(":path", "/small.txt HTTP/1.1"),
    "line end in the path": changed(":path", "/small.txt\r\nX-Injected: 1"),
    "nul in the path": changed(":path", "/small.txt\0"),
    "path without a slash": changed(":path", "small.txt"),
    "absolute path form": changed(":path", "https://h3.test/small.txt"),
    "star for GET": changed(":path", "*"),
    "fragment": changed(":path", "/small.txt#here"),
    "del in the path": changed(":path", "/small\x7ftxt"),
    "scheme http": changed(":scheme", "http"),
    "scheme ftp": changed(":scheme", "ftp"),
    "host differs": GOOD + [("host", "alias.h3.test")],
    "host differs in its port": GOOD + [("host", "h3.test:1")],
    "host has port 80": GOOD + [("host", "h3.test:80")],
    "host has another port than the default": changed(":authority", "h3.test:443") + [
        ("host", "h3.test:8443")],
    "host differs before the same port": changed(":authority", "h3.test:443") + [
        ("host", "alias.h3.test:443")],
    "host has a dot at its end": GOOD + [("host", "h3.test.")],
    "host goes on behind the authority": GOOD + [("host", "h3.test443")],
    "two hosts": GOOD + [("host", "h3.test"), ("host", "alias.h3.test")],
    "two hosts without authority": without(":authority") + [("host", "h3.test"),
                                                            ("host", "alias.h3.test")],
    "user in the authority": changed(":authority", "user@h3.test"),
    "space in the authority": changed(":authority", "h3.test alias"),
    "authority with a path": changed(":authority", "h3.test/x"),
    "bad port in the authority": changed(":authority", "h3.test:99999"),
    "two te": GOOD + [("te", "trailers"), ("te", "gzip")],
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", sorted(MALFORMED))
def test_malformed(httpd, name):
    """A 400, or the stream or connection ends with H3_MESSAGE_ERROR: RFC 9114 section 4.1.2."""
    assert outcome(httpd, MALFORMED[name]) in (
        400, ("stream", H3_MESSAGE_ERROR), ("connection", H3_MESSAGE_ERROR)), name
    assert serves(httpd)


WELL_FORMED = {
    "as it is": GOOD,
    "host is the same": GOOD + [("host", "h3.test")],
    "host in other letters": GOOD + [("host", "H3.Test")],
    "host alone": without(":authority") + [("host", "h3.test")],
    "te trailers": GOOD + [("te", "trailers")],
    "empty value": GOOD + [("x-empty", "")],
    "authority with the default port": changed(":authority", "h3.test:443"),
    "authority with the default port, host without": changed(":authority", "h3.test:443") + [
        ("host", "h3.test")],
    "host with the default port, authority without": GOOD + [("host", "H3.test:443")],
    "host with an empty port": GOOD + [("host", "h3.test:")],
    "both with the default port": changed(":authority", "h3.test:443") + [("host", "h3.test:443")],
    "both with another port": changed(":authority", "h3.test:8443") + [("host", "h3.test:8443")],
    "the same content-length twice": GOOD + [("content-length", "0"), ("content-length", "0")],
}


@pytest.mark.parametrize("name", sorted(WELL_FORMED))
def test_well_formed(httpd, name):
    got = outcome(httpd, WELL_FORMED[name])
    if name == "the same content-length twice":
        # A recipient may take it or leave it: RFC 9110 section 8.6.
        assert got in (200, 400, ("stream", H3_MESSAGE_ERROR), ("connection", H3_MESSAGE_ERROR))
    else:
        assert got == 200


def test_options_star(httpd):
    with httpd.h3() as conn:
        assert conn.request("OPTIONS", "*").status == httpd.fetch("1.1", "*", "OPTIONS").status


def test_connect(httpd):
    """No proxy: as over HTTP/1.1, never a tunnel."""
    assert httpd.fetch("1.1", "h3.test:443", "CONNECT").status == 405
    got = outcome(httpd, [(":method", "CONNECT"), (":authority", "h3.test:443")])
    assert got in (400, 405, 501, ("stream", H3_MESSAGE_ERROR), ("connection", H3_MESSAGE_ERROR))


def test_trace(httpd):
    assert outcome(httpd, method="TRACE", path="/") == httpd.fetch("1.1", "/", "TRACE").status


@pytest.mark.sanitize
@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\nx-injected: 1", "a\rb", "a\0b"])
@pytest.mark.parametrize("name", ["x-bad", "cookie", "referer"])
def test_no_field_injection(httpd, name, value):
    """Dropped, or the message is malformed; never does one field become two."""
    with httpd.h3() as conn:
        try:
            answer = conn.request("GET", "/cgi-bin/env.cgi", [(name, value)], timeout=10)
        except (StreamEnded, ConnectionEnded) as exc:
            assert exc.code == H3_MESSAGE_ERROR
            return
    assert answer.status in (200, 400)
    assert "INJECTED" not in answer.text and "HTTP_X_BAD" not in answer.text


# -- errors of the protocol

def control(*data):
    """Bytes for our control stream, after its SETTINGS."""
    def send(conn):
        conn.send_control(b"".join(data))
    return send


def request(*data, end=False):
    def send(conn):
        stream = conn.open_stream()
        block = conn.encode(stream.id, GOOD)
        stream.raw(b"".join(frame(HEADERS, block) if d is HEADERS else d for d in data), end)
    return send


def uni(kind, data=b"", end=False):
    def send(conn):
        conn.open_uni(kind, data, end)
        conn.flush()
    return send


def end_control(conn):
    conn.quic.send_stream_data(conn.control_stream, b"", True)
    conn.flush()


def encoder(data):
    def send(conn):
        conn.send_encoder(data)
        conn.flush()
    return send


def decoder(data):
    def send(conn):
        conn.send_decoder(data)
        conn.flush()
    return send


def reset_own(attribute):
    """A reset of one of our critical streams."""
    def send(conn):
        conn.quic.reset_stream(getattr(conn, attribute), 0x100)
        conn.flush()
    return send


def stop_theirs(number):
    """STOP_SENDING for one of the server's critical streams, that it is about to write to."""
    def send(conn):
        conn.quic.stop_stream(number, 0x100)
        conn.flush()
    return send


def section(block):
    def send(conn):
        conn.open_stream().raw(frame(HEADERS, block))
    return send


ERRORS = {
    "second control stream": (uni(0, settings_frame(())), 0x103),
    "push stream from a client": (uni(1, b"\0"), 0x103),
    "second encoder stream": (uni(2), 0x103),
    "second decoder stream": (uni(3), 0x103),
    "control stream ends": (end_control, 0x104),
    "control stream is reset": (reset_own("control_stream"), 0x104),
    "encoder stream is reset": (reset_own("encoder_stream"), 0x104),
    "decoder stream is reset": (reset_own("decoder_stream"), 0x104),
    "control stream is not wanted": (stop_theirs(3), 0x104),
    "encoder stream is not wanted": (stop_theirs(7), 0x104),
    "decoder stream is not wanted": (stop_theirs(11), 0x104),
    "second SETTINGS": (control(settings_frame(())), 0x105),
    "DATA on the control stream": (control(frame(DATA, b"x")), 0x105),
    "HEADERS on the control stream": (control(frame(HEADERS, b"x")), 0x105),
    "PUSH_PROMISE on the control stream": (control(frame(PUSH_PROMISE, b"\0x")), 0x105),
    "frame type of HTTP/2 on the control stream": (control(frame(0x6, b"")), 0x105),
    "DATA before HEADERS": (request(frame(DATA, b"x")), 0x105),
    "SETTINGS on a request stream": (request(frame(SETTINGS)), 0x105),
    "GOAWAY on a request stream": (request(frame(GOAWAY, b"\0")), 0x105),
    "MAX_PUSH_ID on a request stream": (request(frame(MAX_PUSH_ID, b"\0")), 0x105),
    "CANCEL_PUSH on a request stream": (request(frame(CANCEL_PUSH, b"\0")), 0x105),
    "PUSH_PROMISE from a client": (request(HEADERS, frame(PUSH_PROMISE, b"\0x")), 0x105),
    "frame type of HTTP/2 on a request stream": (request(HEADERS, frame(0x8, b"")), 0x105),
    "frame that ends too early": (request(HEADERS, b"\0\x10xx", end=True), 0x106),
    # RFC 9114 section 7.2.7 wants H3_ID_ERROR; nghttp3 says H3_FRAME_ERROR.
    "MAX_PUSH_ID that goes down": (control(frame(MAX_PUSH_ID, b"\x05"),
                                           frame(MAX_PUSH_ID, b"\x04")), 0x106, 0x108),
    "field section of garbage": (request(frame(HEADERS, b"\xff\xff\xff\xff\xff\xff\xff")), 0x200),
    "encoder stream of garbage": (encoder(b"\x80\xff\xff\xff\xff\xff\x0f"), 0x201),
    "encoder's capacity above the setting": (encoder(prefixed(0x20, 5, 1 << 28)), 0x201),
    "encoder names a static entry that there is not": (
        encoder(prefixed(0x20, 5, 4096) + prefixed(0xc0, 6, 99) + b"\x01x"), 0x201),
    "encoder names an entry that there is not": (
        encoder(prefixed(0x20, 5, 4096) + prefixed(0x80, 6, 0) + b"\x01x"), 0x201),
    "encoder repeats an entry that there is not": (
        encoder(prefixed(0x20, 5, 4096) + prefixed(0x00, 5, 7)), 0x201),
    # nghttp3 says H3_INTERNAL_ERROR.
    "encoder's entry of 2 GiB": (
        encoder(prefixed(0x20, 5, 4096) + prefixed(0x40, 5, 2 << 30) + b"x"), 0x201, 0x102),
    "encoder's entry above the capacity": (
        encoder(prefixed(0x20, 5, 64) + prefixed(0x40, 5, 1) + b"x" + prefixed(0, 7, 80)
                + 80 * b"x"), 0x201),
    "encoder's name that no Huffman code ends": (
        encoder(prefixed(0x20, 5, 4096) + b"\x64\xff\xff\xff\xff"), 0x201),
    "static entry that there is not": (section(b"\0\0" + prefixed(0xc0, 6, 99)), 0x200),
    "static entry beyond all numbers": (section(b"\0\0" + prefixed(0xc0, 6, 1 << 62)), 0x200),
    "name of a static entry that there is not": (
        section(b"\0\0" + prefixed(0x50, 4, 99) + b"\x01x"), 0x200),
    "entry in a section that needs none": (section(b"\0\0\x80"), 0x200),
    "entry behind the base in a section that needs none": (section(b"\0\0\x10"), 0x200),
    "Required Insert Count beyond the table": (section(b"\xff\x80\x10\0\x80"), 0x200),
    "negative Base": (section(b"\x02\x84\x80"), 0x200),
    "Insert Count Increment of 0": (decoder(b"\0"), 0x202),
    "Insert Count Increment for nothing": (decoder(prefixed(0, 6, 1000)), 0x202),
    "Section Acknowledgment for nothing": (decoder(prefixed(0x80, 7, 400)), 0x202),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_connection_error(httpd, name):
    send, *codes = ERRORS[name]
    with httpd.h3() as conn:
        conn.wait(lambda: conn.peer_settings is not None)
        send(conn)
        how = conn.wait_end()
    assert not how.transport and how.code in codes, how
    assert serves(httpd)


def stream_frame(stream_id, offset, data, fin=False):
    return vint(0x0e | fin) + vint(stream_id) + vint(offset) + vint(len(data)) + data


def connection_id(number, retire=0, cid=b"", token=b"t" * 16):
    """NEW_CONNECTION_ID"""
    return b"\x18" + vint(number) + vint(retire) + bytes([len(cid)]) + cid + token


ID = b"8 bytes!"
TLS_KEY_UPDATE, TLS_END_OF_EARLY_DATA = b"\x18\0\0\1\0", b"\x05\0\0\0"

# The payload of a packet after a request on stream 0, and the code: RFC 9000 section 20.1.
QUIC_ERRORS = {
    "a type that there is not": (b"\x20", 0x7),
    "no frames": (b"", 0xa),
    "reserved bits in the header": (b"\x01", 0xa),
    # RFC 9000 section 19.4 wants STREAM_STATE_ERROR; ngtcp2 says PROTOCOL_VIOLATION.
    "RESET_STREAM for a stream that only we send on": (b"\x04\x03\0\0", 0x5, 0xa),
    "RESET_STREAM that ends before what came": (
        stream_frame(4, 0, b"\x21\x09xxxxxxxxx") + b"\x04\x04\0\x05", 0x6),
    "RESET_STREAM beyond the window": (b"\x04\x04\0" + vint(1 << 40), 0x3),
    "STOP_SENDING for a stream that there is not": (b"\x05" + vint(101) + b"\0", 0x5),
    "STOP_SENDING for a stream that only the client sends on": (b"\x05\x02\0", 0x5),
    "CRYPTO beyond all offsets": (b"\x06" + vint((1 << 62) - 1) + b"\x02xx", 0x7, 0xd),
    "CRYPTO far ahead": (b"\x06" + vint(1 << 20) + b"\x01x", 0xd),
    "KeyUpdate of TLS": (b"\x06\0\x05" + TLS_KEY_UPDATE, 0x10a),
    "EndOfEarlyData of TLS": (b"\x06\0\x04" + TLS_END_OF_EARLY_DATA, 0x10a),
    "NEW_TOKEN": (b"\x07\x01x", 0xa),
    "STREAM that we would open": (stream_frame(1, 0, b"x"), 0x5),
    "STREAM that only we send on": (stream_frame(3, 0, b"x"), 0x5),
    "STREAM above the limit": (stream_frame(4 * 150, 0, b"x"), 0x4),
    "unidirectional STREAM above the limit": (stream_frame(2 + 4 * 50, 0, b"x"), 0x4),
    "STREAM beyond its window": (stream_frame(4, 1 << 18, b"x"), 0x3),
    "STREAMs beyond the connection's window": (
        b"".join(stream_frame(4 * i, (1 << 18) - 1, b"x") for i in range(1, 6)), 0x3),
    "STREAM beyond all offsets": (stream_frame(4, (1 << 62) - 1, b"xx"), 0x7, 0x3),
    "STREAM with two ends": (stream_frame(4, 10, b"", True) + stream_frame(4, 20, b"", True), 0x6),
    "STREAM beyond its end": (stream_frame(4, 10, b"", True) + stream_frame(4, 10, b"x"), 0x6),
    "MAX_STREAM_DATA for a stream that there is not": (b"\x11" + vint(101) + b"\x01", 0x5),
    "MAX_STREAM_DATA for a stream that we do not send on": (b"\x11\x02\x01", 0x5),
    "MAX_STREAMS beyond all numbers": (b"\x12" + vint((1 << 60) + 1), 0x7),
    "STREAM_DATA_BLOCKED for a stream that only we send on": (b"\x15\x03\x01", 0x5),
    "STREAMS_BLOCKED beyond all numbers": (b"\x16" + vint((1 << 60) + 1), 0x7, 0x4),
    "NEW_CONNECTION_ID that retires itself": (connection_id(9, 10, ID), 0x7),
    "NEW_CONNECTION_ID of no bytes": (connection_id(9, 0, b""), 0x7),
    "NEW_CONNECTION_ID of 21 bytes": (connection_id(9, 0, 21 * b"x"), 0x7),
    "NEW_CONNECTION_ID with a number that has another": (connection_id(1, 0, ID), 0xa),
    "more NEW_CONNECTION_IDs than our limit": (
        b"".join(connection_id(i, 0, b"%08d" % i) for i in range(8, 20)), 0x9),
    "RETIRE_CONNECTION_ID that was never given": (b"\x19" + vint(999), 0xa),
    "HANDSHAKE_DONE from a client": (b"\x1e", 0xa),
    "DATAGRAM": (b"\x30x", 0xa, 0x7),
    "ACK of what was not sent": (b"\x02" + vint(1 << 20) + b"\0\0\0", 0xa),
    "ACK of negative numbers": (b"\x02\x02\0\x01\0\x10\0", 0x7),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", sorted(QUIC_ERRORS))
def test_error_of_quic(httpd, name):
    payload, *codes = QUIC_ERRORS[name]
    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt").status == 200
        conn.ping()
        conn.transport.send_frames(payload, first=0x58 if name.startswith("reserved") else 0x40)
        how = conn.wait_end()
    assert how.transport and how.code in codes, how
    assert serves(httpd)


def parameter(number, value):
    return vint(number) + vint(len(value)) + value


PARAMETERS = {
    "original_destination_connection_id": parameter(0x00, ID),
    "stateless_reset_token": parameter(0x02, bytes(16)),
    "max_udp_payload_size of 1199": parameter(0x03, vint(1199)),
    "ack_delay_exponent of 21": parameter(0x0a, vint(21)),
    "max_ack_delay of 2^14": parameter(0x0b, vint(1 << 14)),
    "preferred_address": parameter(0x0d, bytes(24) + b"\x08" + ID + bytes(16)),
    "active_connection_id_limit of 1": parameter(0x0e, vint(1)),
    "initial_source_connection_id of somebody else": parameter(0x0f, ID),
    "retry_source_connection_id": parameter(0x10, ID),
    "initial_max_streams_bidi beyond all numbers": parameter(0x08, vint((1 << 60) + 1)),
    "one that is cut off": b"\x03\x08\0",
}


def with_parameter(parameters, replaced):
    """The client's transport parameters with one more, in place of the one it has itself."""
    buf, kept = Buffer(data=parameters), b""
    while not buf.eof():
        number = buf.pull_uint_var()
        value = buf.pull_bytes(buf.pull_uint_var())
        if not replaced.startswith(vint(number)):
            kept += parameter(number, value)
    return kept + replaced


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_transport_parameter(httpd, name):
    """RFC 9000 sections 7.3, 7.4, 18.2: TRANSPORT_PARAMETER_ERROR."""
    with httpd.h3(connect=False, rewrite_parameters=lambda encoded: with_parameter(
            encoded, PARAMETERS[name])) as conn:
        with pytest.raises(ConnectionEnded) as info:
            conn.connect()
            conn.ping()
    assert info.value.transport and info.value.code == 0x8
    assert serves(httpd)


def test_no_transport_parameters(httpd):
    """RFC 9001 section 8.2: missing_extension."""
    with httpd.h3(connect=False, rewrite_parameters=lambda encoded: None) as conn:
        with pytest.raises(ConnectionEnded) as info:
            conn.connect()
            conn.ping()
    assert info.value.transport and info.value.code == 0x16d


def test_an_id_is_not_retired_by_a_packet_that_uses_it(httpd):
    """RFC 9000 section 19.16."""
    with httpd.h3() as conn:
        conn.ping()
        conn.transport.send_frames(b"\x19" + vint(conn.quic.peer_id_number))
        how = conn.wait_end()
    assert how.transport and how.code == 0xa


@pytest.mark.parametrize("setting", [0x2, 0x3, 0x4, 0x5])
def test_setting_of_http2(httpd, setting):
    """RFC 9114 section 7.2.4.1."""
    with httpd.h3(start_h3=False) as conn:
        conn.open_uni(0, settings_frame(((setting, 1),)))
        how = conn.wait_end()
    assert not how.transport and how.code == 0x109


def test_missing_settings(httpd):
    with httpd.h3(start_h3=False) as conn:
        conn.open_uni(0, frame(GOAWAY, b"\0"))
        how = conn.wait_end()
    assert not how.transport and how.code == 0x10a


def blocked_streams(conn, number):
    """Requests that wait for the second entry of the dynamic table; the client's own encoder knows
    nothing of them."""
    conn.wait(lambda: conn.peer_settings is not None)
    conn.encoder = types.SimpleNamespace(feed_decoder=lambda data: None)
    streams = [conn.open_stream() for _ in range(number)]
    for stream in streams:
        stream.raw(frame(HEADERS, b"\x03\0" + QPACK_GET + b"\x80"))
    conn.ping()
    return streams


@pytest.mark.sanitize
def test_blocked_streams(httpd):
    """RFC 9204 sections 2.1.2, 2.2.2.2: those that are reset meanwhile are forgotten, the others
    are answered."""
    with httpd.h3() as conn:
        streams = blocked_streams(conn, 40)
        for stream in streams[::2]:
            stream.reset()
        for stream in streams[1::2]:
            stream.raw(b"", end=True)
        conn.ping()
        conn.send_encoder(prefixed(0x20, 5, 4096) + 2 * (prefixed(0x40, 5, 3) + b"x-a\x01b"))
        assert [stream.finish().status for stream in streams[1::2]] == [200] * 20
        assert all(stream.response.status is None for stream in streams[::2])
    httpd.wait_gauges(Streams=0, Requests=0)


@pytest.mark.sanitize
def test_a_connection_ends_with_blocked_streams(httpd):
    with httpd.h3() as conn:
        for stream in blocked_streams(conn, 40)[::2]:
            stream.reset()
        assert httpd.gauge("Streams") > 0
    httpd.wait_gauges(Connections=0, Streams=0, Requests=0)
    assert serves(httpd)


@pytest.mark.sanitize
def test_stream_without_a_request(httpd):
    """RFC 9114 section 4.1: H3_REQUEST_INCOMPLETE for the stream, or, as nghttp3 sees it, an
    invalid sequence of frames, which ends the connection with H3_FRAME_UNEXPECTED."""
    with httpd.h3() as conn:
        stream = conn.open_stream()
        stream.raw(b"", end=True)
        try:
            conn.wait(lambda: stream.done)
            assert stream.reset_code == 0x10d
            assert conn.request("GET", "/small.txt").status == 200
        except ConnectionEnded as how:
            assert not how.transport and how.code == 0x105
    assert serves(httpd)


def test_protocol_violation_of_quic(httpd):
    """A stream of the server's number space: STREAM_STATE_ERROR, RFC 9000 section 19.8."""
    with httpd.h3() as conn:
        conn.quic.write_foreign_stream(1, b"x")
        conn.flush()
        how = conn.wait_end()
        assert how.transport and how.code == 0x5


def test_wrong_alpn(httpd):
    """RFC 9001 section 8.1: no_application_protocol."""
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3(alpn=["http/0.9"]).close()
    assert info.value.transport and info.value.code == 0x178


def test_priority_fields_are_taken(httpd):
    """PRIORITY_UPDATE and the priority field do no harm (RFC 9218)."""
    with httpd.h3() as conn:
        stream = conn.open("GET", "/large.bin", [("priority", "u=1, i")])
        conn.send_control(frame(0xf0700, bytes([stream.id]) + b"u=0"))
        assert stream.finish().body == content.LARGE


def test_goaway_of_a_client(httpd):
    with httpd.h3() as conn:
        conn.send_control(frame(GOAWAY, b"\0"))
        assert conn.request("GET", "/small.txt").status == 200
