# SPDX-License-Identifier: Apache-2.0
"""Clients that are within the protocol, and yet not what a server expects."""
import os
import socket
import time

import pytest
from aioquic.buffer import encode_uint_var

from h3test import content, procs
from h3test.h3conn import DATA, HEADERS, NAMES, frame
from h3test.load import load
from h3test.response import ConnectionEnded
from h3test.tools import run
from h3test.wait import SLOWNESS


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
        granted, ended = conn.quic.max_streams_uni, 0
        for _ in range(4):
            for _ in range(5):
                stream = conn.quic.get_next_available_stream_id(is_unidirectional=True)
                conn.quic.send_stream_data(stream, data, True)
                ended += 1
            conn.flush()
            conn.ping()
        conn.ping()
        assert 0 < conn.quic.max_streams_uni - granted <= ended


def refused(httpd):
    """A handshake that fails; its first datagram and the server's answer to that."""
    sent, received = [], []
    conn = httpd.h3(connect=False, alpn=("none",), verify=False)
    conn.transport.on_send = lambda data: sent.append(data) or data
    conn.transport.on_receive = lambda data: received.append(data) or data
    try:
        conn.begin()
        conn.flush()
        conn.wait(lambda: conn.ended is not None)
    finally:
        conn.abandon()
    return sent[0], received[-1]


def answer(httpd, datagram):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5 * SLOWNESS)
        sock.sendto(datagram, ("127.0.0.1", httpd.port))
        return sock.recv(65536)


def test_closing_connections_are_bounded(make_httpd):
    """RFC 9000 section 10.2: a refused ClientHello is remembered, a flood of them is not."""
    httpd = make_httpd()
    httpd.add("H3MaxConnections 4")
    httpd.vhost("h3.test")
    httpd.start()
    first, close = refused(httpd)
    assert answer(httpd, first) == close, "the closing connection repeats its packet"
    for _ in range(4):
        last, close = refused(httpd)
    assert answer(httpd, last) != close, "nothing is left of this one"


def test_a_short_idle_timeout_brings_no_flood(httpd):
    """RFC 9000 section 10.1.2: PINGs keep a connection for a slow handler, at a pace of ours."""
    # It says 2 ms, and stays. The server's timeout is three probe timeouts then: seconds.
    said = {"max_idle_timeout": 2, "max_ack_delay": 1000}
    with httpd.h3(parameters=said) as conn:
        stream = conn.open("GET", "/cgi-bin/wait.cgi?1")
        before = len(conn.received)
        conn.pump(0.8)
        assert 0 < len(conn.received) - before < 40
        assert stream.finish().status == 200


@pytest.mark.sanitize
def test_pings_do_not_hold_an_idle_connection(make_httpd):
    """H3IdleTimeout without a request: GOAWAY and H3_NO_ERROR, whatever QUIC's own timer says."""
    httpd = make_httpd()
    httpd.add("H3IdleTimeout 1")
    httpd.vhost("h3.test")
    httpd.start()
    with httpd.h3(idle_timeout=60) as conn:
        assert conn.request("GET", "/small.txt").status == 200
        ends_while_it_pings(conn)


def ends_while_it_pings(conn):
    until = time.monotonic() + 15 * SLOWNESS
    while conn.ended is None:
        assert time.monotonic() < until, "still there"
        try:
            conn.ping()
        except ConnectionEnded:
            break
        conn.pump(0.1)
    assert conn.ended.error_code == 0x100


@pytest.fixture(scope="module")
def hasty(make_httpd):
    httpd = make_httpd(timeout=1)
    httpd.add("H3IdleTimeout 1")
    httpd.vhost("h3.test")
    return httpd.start()


def half_a_frame_type(conn):
    conn.open_stream().raw(b"\x40")


def an_unknown_frame_without_end(conn):
    conn.open_stream().raw(b"\x21\x80\x10\0\0abc")


def deaf(conn, stream):
    """STOP_SENDING is not answered with RESET_STREAM."""
    conn.quic.ignore_stop_sending(stream.id)


def half_a_head(conn):
    stream = conn.open_stream()
    stream.raw(frame(HEADERS, conn.encode(stream.id, conn.head(path="/small.txt")))[:10])
    deaf(conn, stream)


def a_priority_for_a_stream_to_come(conn):
    conn.send_control(frame(0xf0700, b"\x28u=0"))


def a_body_without_end(conn):
    stream = conn.open("POST", "/small.txt", end_stream=False)
    deaf(conn, stream)
    assert stream.finish().body == content.SMALL


@pytest.mark.parametrize("what", [
    half_a_frame_type, an_unknown_frame_without_end, half_a_head,
    a_priority_for_a_stream_to_come, a_body_without_end], ids=lambda f: f.__name__)
def test_what_is_no_request_does_not_hold_a_connection(hasty, what):
    """RFC 9114 section 10.5: a stream that stays open for ever, and PINGs."""
    with hasty.h3(idle_timeout=60) as conn:
        assert conn.request("GET", "/small.txt").status == 200
        what(conn)
        ends_while_it_pings(conn)


def packets(frames, size=1150):
    """Joins frames to payloads of packets."""
    payload = b""
    for one in frames:
        if len(payload) + len(one) > size:
            yield payload
            payload = b""
        payload += one
    yield payload


def stream_frame(stream_id, offset, data, fin=False):
    return encode_uint_var(0x0e | fin) + encode_uint_var(stream_id) + encode_uint_var(offset) \
        + encode_uint_var(len(data)) + data


@pytest.mark.sanitize
def test_streams_full_of_holes(make_httpd):
    """RFC 9000 section 21.7: within the windows, and each hole is an object of the library's."""
    httpd = make_httpd()
    httpd.vhost("h3.test").start()
    holes = (stream_frame(4 * stream, at, b"x") for stream in range(1, 100)
             for at in range(1, 7800, 2))
    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt").status == 200
        procs.reset_peak(httpd.child())
        before = procs.kib(httpd.child(), "VmRSS")
        for number, payload in enumerate(packets(holes)):
            conn.transport.send_frames(payload)
            if number % 20 == 0:
                conn.turn(0.01)
            if conn.ended is not None:
                break
        how = conn.wait_end()
    assert how.transport and how.code == 0x1
    if httpd.measurable:
        # Twice H3ConnWindowSize and 12 KiB for each of H3MaxSessionStreams.
        assert procs.kib(httpd.child(), "VmHWM") - before < 6 * 1024
    httpd.wait_log("too much kept for it")


def acknowledgement(largest, ranges):
    return b"\x02" + encode_uint_var(largest) + b"\0" + encode_uint_var(ranges) + b"\0" \
        + ranges * b"\0\0"


def path_challenges(conn, number):
    return b"".join(b"\x1a" + os.urandom(8) for _ in range(100))


def connection_ids(conn, number):
    """Each retires all before it."""
    n = encode_uint_var(8 + number)
    return b"\x18" + n + n + b"\x08" + os.urandom(24)


def retirements(conn, number):
    """Of all that the server gives, as soon as it comes."""
    spare = conn.quic.forget_spare_ids()
    return b"\x01" + b"".join(b"\x19" + encode_uint_var(n) for n in spare)


def acknowledgements(conn, number):
    """The same numbers again and again, in as many ranges as there can be."""
    largest = conn.quic.largest_received
    return 20 * acknowledgement(largest, min(largest // 2, 20))


def credit_that_is_none(conn, number):
    return b"\x10\x01" * 500


def complaints(conn, number):
    """DATA_BLOCKED"""
    return b"\x14\x01" * 500


def streams_of_nothing(conn, number):
    return stream_frame(4 * 60, 0, b"") * 100


def pings(conn, number):
    return b"\x01\0\0\0"


@pytest.mark.sanitize
@pytest.mark.parametrize("flood", [
    path_challenges, connection_ids, retirements, acknowledgements, credit_that_is_none,
    complaints, streams_of_nothing, pings], ids=lambda f: f.__name__)
def test_floods_of_frames(httpd, flood):
    """RFC 9000 sections 9.3.3, 19.15, 21.9: the connection goes on or is closed; nothing is piled
    up for it."""
    def send(conn, number):
        for n in range(number):
            conn.transport.send_frames(flood(conn, n))
            if n % 20 == 0:
                conn.turn(0.005)
            if conn.ended is not None:
                return

    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt").status == 200
        conn.ping()
        before = procs.kib(httpd.child(), "VmRSS")
        send(conn, int(4000 / SLOWNESS))
        if conn.ended is None:
            conn.pump(0.2)
        if conn.ended is not None:
            assert conn.ended.frame_type is not None, "an error of QUIC"
        if httpd.measurable:
            assert procs.kib(httpd.child(), "VmRSS") < before + 1024
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


@pytest.fixture
def slow_link():
    """A network namespace behind a link of 100 Mbit/s: (namespace, our address there)."""
    name, ours, theirs = "h3t%d" % os.getpid(), "h3o%d" % os.getpid(), "h3i%d" % os.getpid()
    commands = ["ip netns add " + name,
                "ip link add %s type veth peer name %s netns %s" % (ours, theirs, name),
                "ip addr add 10.99.77.1/24 dev " + ours, "ip link set %s up" % ours,
                "ip -n %s addr add 10.99.77.2/24 dev %s" % (name, theirs),
                "ip -n %s link set %s up" % (name, theirs),
                "tc qdisc add dev %s root tbf rate 100mbit burst 32k limit 10m" % ours]
    try:
        for command in commands:
            code, said = run(*command.split(), check=False)
            if code != 0:
                pytest.skip("%s: %s" % (command, said.strip()))
        yield name, "10.99.77.1"
    finally:
        run("ip", "netns", "del", name, check=False)
        run("ip", "link", "del", ours, check=False)


def test_a_full_socket(make_httpd, slow_link):
    """Datagrams wait in the link's queue and fill the socket: sendmsg says EAGAIN. Everybody gets
    everything, and the I/O thread sleeps meanwhile."""
    namespace, address = slow_link
    httpd = make_httpd()
    httpd.add("H3SocketBufferSize 65536")
    httpd.vhost("h3.test")
    content.sparse(httpd.path("htdocs", "some.bin"), 2 << 20)
    httpd.start()
    before = procs.cpu_seconds(httpd.child())
    load(httpd, "-c", 10, "-n", 20, paths=["/some.bin"], connect="%s:%d" % (address, httpd.port),
         wrapper=["ip", "netns", "exec", namespace])
    # The link needs 3.4 s at least.
    assert procs.cpu_seconds(httpd.child()) - before < 3 * SLOWNESS


@pytest.fixture
def two_workers(make_httpd):
    """A server with two workers, and a connection that holds both with requests whose bodies do not
    come."""
    httpd = make_httpd(timeout=60)
    httpd.add("H3MinWorkers 1\nH3MaxWorkers 2\nH3MaxConnections 100").vhost("h3.test").start()
    with httpd.h3() as holder:
        held = [holder.open("POST", "/cgi-bin/sha256.cgi", [("content-length", "1")],
                            end_stream=False) for _ in range(2)]
        holder.wait(lambda: httpd.gauge("Requests") == 2)
        yield httpd
        for stream in held:
            stream.raw(frame(DATA, b"x"), end=True)
            assert stream.finish().status == 200


@pytest.mark.sanitize
def test_requests_that_wait_go_with_their_client(two_workers):
    """Nothing of them stays in the queue, however long the workers are held."""
    for _ in range(10):
        with two_workers.h3() as conn:
            streams = [conn.open("GET", "/small.txt") for _ in range(100)]
            conn.wait(lambda: two_workers.gauge("Requests") > 2)
            streams[7].reset()
    two_workers.wait_gauges(Requests=2, Streams=2)


@pytest.mark.sanitize
def test_requests_that_wait_are_bounded(two_workers):
    """As many as there may be connections; others are refused such that the client may repeat them.
    RFC 9114 section 4.1.1"""
    with two_workers.h3() as first, two_workers.h3() as second:
        for conn in first, second:
            streams = [conn.open("GET", "/small.txt") for _ in range(100)]
            conn.wait(lambda: two_workers.gauge("Requests") == 102)
        second.wait(lambda: all(s.done for s in streams))
        assert {NAMES[s.reset_code] for s in streams} == {"H3_REQUEST_REJECTED"}
    two_workers.wait_gauges(Requests=2, Streams=2)
