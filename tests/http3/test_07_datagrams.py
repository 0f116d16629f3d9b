# SPDX-License-Identifier: Apache-2.0
"""Raw datagrams: amplification, version negotiation, stateless reset, half-open connections."""
import contextlib
import os
import signal
import socket
import struct
import time

import pytest

from h3test import content, procs, udp
from h3test.response import ConnectionEnded
from h3test.wait import SLOWNESS, bound, until

MIN_RESET = 21                      # RFC 9000 section 10.3


@pytest.fixture(scope="module")
def httpd(make_httpd, ca):
    httpd = make_httpd()
    httpd.add("H3HandshakeTimeout %d\nH3IdleTimeout 5" % (2 * SLOWNESS))
    # A chain of more than 7,500 bytes: three times 1,200 is not enough for it.
    httpd.vhost("h3.test", pair=ca.leaf("large", chained=True, padding=8000))
    content.write(httpd.path("htdocs", "empty.txt"), b"")
    content.write(httpd.path("htdocs", "k.txt"), bytes(1024))
    return httpd.start()


def one(httpd, **options):
    return udp.Socket("127.0.0.1", httpd.port, **options)


def serves(httpd):
    return httpd.fetch("3", "/small.txt").body == content.SMALL


# -- amplification

@pytest.mark.sanitize
@pytest.mark.parametrize("coalesced", [0, 10])
def test_amplification(httpd, coalesced):
    """At most three times what came from an address that is not validated (RFC 9000 section 8),
    the datagram counted once however many packets it claims to hold, probes included."""
    hello, scid = udp.client_hello_bytes()
    dcid = os.urandom(8)
    first = udp.initial(dcid, scid, udp.crypto_frame(hello), size=1000 if coalesced else 1200)
    for _ in range(coalesced):
        first += udp.long_header(udp.V1, dcid, scid, 0xe0, b"\x05" + os.urandom(5))
    first += bytes(max(0, 1200 - len(first)))
    with one(httpd) as sock:
        sock.send(first)
        # Well beyond several probe timeouts, and beyond the handshake timeout.
        got = sock.answers(4)
    assert got and sum(map(len, got)) <= 3 * len(first), [len(d) for d in got]


def test_amplification_grows_with_what_comes(httpd):
    """Another datagram from the client gives the server room for more of its certificates."""
    hello, scid = udp.client_hello_bytes()
    dcid = os.urandom(8)
    with one(httpd) as sock:
        sock.send(udp.initial(dcid, scid, udp.crypto_frame(hello)))
        before = sock.answers(0.7)
        sock.send(udp.initial(dcid, scid, b"\x01", pn=1))
        after = sock.answers(10, 1) + sock.answers(0.7)
    assert after and sum(map(len, before)) <= 3600
    assert sum(map(len, before + after)) <= 7200


@pytest.mark.sanitize
def test_large_chain_reaches_a_client(httpd):
    with httpd.h3() as conn:
        assert len(conn.quic.server_chain) >= 1
        assert conn.request("GET", "/small.txt").body == content.SMALL


# -- what is not answered

@pytest.mark.sanitize
def test_initial_in_a_small_datagram(httpd):
    """RFC 9000 section 14.1; 1199 bytes are silence, 1200 an answer."""
    hello, scid = udp.client_hello_bytes()
    accepted = httpd.gauge("Accepted")
    with one(httpd) as sock:
        small = udp.initial(os.urandom(8), scid, udp.crypto_frame(hello), size=1199)
        assert len(small) == 1199
        for _ in range(200):
            sock.send(small)
        assert sock.answers(0.5) == []
        assert httpd.gauge("Accepted") == accepted
    with one(httpd) as sock:
        right = udp.initial(os.urandom(8), scid, udp.crypto_frame(hello), size=1200)
        assert len(right) == 1200
        assert sock.ask(right, 10) is not None


@pytest.mark.sanitize
@pytest.mark.parametrize("length, answered", [
    (0, False), (1, False), (7, False), (8, True), (20, True), (21, False), (255, False)])
def test_length_of_the_destination_connection_id(httpd, length, answered):
    """RFC 9000 section 7.2 wants 8 or more, version 1 allows 20 at most."""
    hello, scid = udp.client_hello_bytes()
    with one(httpd) as sock:
        got = sock.ask(udp.initial(os.urandom(length), scid, udp.crypto_frame(hello)),
                       10 if answered else 0.7)
    assert (got is not None) == answered
    if answered:
        _, version, dcid, _, _ = udp.parse_long(got)
        assert version == udp.V1 and dcid == scid


def test_an_id_of_the_client_is_not_taken_for_one_of_ours(httpd):
    """An id of 16 bytes has our mark by chance, once in 65,536: here 16 times. Its Initial is not
    dropped as some other child's, which would be so for each repetition, too."""
    size, number = 24, 1 << 20
    foreign = httpd.gauge("ForeignDatagrams")
    head, tail = udp.long_header(udp.V1, b"", b"")[:5] + b"\x10", b"\0\0"
    with one(httpd) as sock, httpd.h3() as conn:
        sock.sock.setblocking(True)
        for part in range(number // 64):
            noise = os.urandom(64 * 16)
            sock.send_many(b"".join(head + noise[i:i + 16] + tail
                                    for i in range(0, len(noise), 16)), size)
            if part % 64 == 0:
                conn.ping()         # all before it has been read: the socket's queue is short
        conn.ping()
    assert httpd.gauge("DroppedDatagrams") >= number
    assert httpd.gauge("ForeignDatagrams") == foreign


@pytest.mark.parametrize("length", [21, 255])
def test_length_of_the_source_connection_id(httpd, length):
    hello, _ = udp.client_hello_bytes()
    with one(httpd) as sock:
        assert sock.ask(udp.initial(os.urandom(8), os.urandom(length),
                                    udp.crypto_frame(hello)), 0.5) is None


@pytest.mark.sanitize
def test_first_packet_of_another_type(httpd):
    """A Handshake, 0-RTT or Retry packet begins nothing (RFC 9000 section 5.2.2)."""
    accepted = httpd.gauge("Accepted")
    with one(httpd) as sock:
        for first in (0xd0, 0xe0, 0xf0):
            datagram = udp.long_header(udp.V1, os.urandom(8), os.urandom(8), first,
                                       b"\x44\x00" + os.urandom(1024))
            sock.send(datagram + bytes(max(0, 1200 - len(datagram))))
        assert sock.answers(0.5) == []
    assert httpd.gauge("Accepted") == accepted


@pytest.mark.sanitize
def test_truncations_of_an_initial(httpd):
    """Cut at every byte of its header, padded to 1200 and not."""
    hello, scid = udp.client_hello_bytes()
    whole = udp.initial(os.urandom(8), scid, udp.crypto_frame(hello))
    with one(httpd) as sock:
        for size in range(0, 60):
            sock.send(whole[:size])
            sock.send(whole[:size] + bytes(1200 - size))
            sock.send(whole[:size] + b"\xff" * (1200 - size))
        sock.answers(0.3)
    assert serves(httpd)


@pytest.mark.sanitize
def test_initial_that_is_tampered_with(httpd):
    """Wrong keys, and every byte of the header changed once."""
    hello, scid = udp.client_hello_bytes()
    with one(httpd) as sock:
        sock.send(udp.initial(os.urandom(8), scid, udp.crypto_frame(hello),
                              key_dcid=os.urandom(8)))
        for at in range(7, 40):
            good = bytearray(udp.initial(os.urandom(8), scid, udp.crypto_frame(hello)))
            good[at] ^= 0x55
            sock.send(bytes(good))
        answers = sock.answers(0.5)
    assert all(len(a) >= 20 for a in answers)
    assert serves(httpd)


# -- a ClientHello in pieces

@contextlib.contextmanager
def large_hello(httpd, names=60):
    """A client whose ClientHello takes several datagrams, and these; it says nothing else before
    it has the keys of the handshake, so that what the server loses stays lost."""
    alpn = ["h3"] + ["x" * 20 + "%03d" % i for i in range(names)]
    with httpd.h3(connect=False, alpn=alpn) as conn:
        conn.begin()
        first = []
        conn.transport.on_send = first.append
        conn.flush()
        conn.transport.on_send = lambda data: data if conn.quic.has_handshake_keys else None
        yield conn, list(first)


def finishes(conn):
    """The rest of the handshake, and a request."""
    conn.wait(lambda: conn.handshake is not None)
    conn.start_h3()
    return conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.sanitize
@pytest.mark.parametrize("names, order", [
    (60, "10"), (60, "01"), (120, "210"), (120, "120"), (120, "1120"), (60, "11110"), (60, "101")])
def test_client_hello_in_the_wrong_order(httpd, names, order):
    """RFC 9000 section 7.5: pieces of the ClientHello that overtake its beginning wait for it, as
    many times as they come."""
    accepted = httpd.gauge("Accepted")
    with large_hello(httpd, names) as (conn, first):
        assert len(first) == len(set(order))
        for number in order:
            conn.transport.send_datagram(first[int(number)])
        assert finishes(conn)
    assert httpd.gauge("Accepted") == accepted + 1


@pytest.mark.sanitize
def test_client_hello_merged_and_in_the_wrong_order(httpd):
    """Both datagrams in one message (GSO, and GRO here)."""
    with large_hello(httpd) as (conn, first):
        assert {len(data) for data in first} == {len(first[0])}
        conn.sock.sendmsg([first[1] + first[0]], [(
            socket.SOL_UDP, udp.UDP_SEGMENT, struct.pack("H", len(first[0])))], 0,
            conn.transport.peer)
        assert finishes(conn)


@pytest.mark.sanitize
def test_client_hello_whose_beginning_is_lost(httpd):
    """Only that is repeated, by hand here: the other half has been kept."""
    with large_hello(httpd) as (conn, first):
        conn.transport.send_datagram(first[1])
        conn.pump(1.2)
        assert not conn.received
        conn.transport.send_datagram(first[0])
        assert finishes(conn)


@pytest.mark.sanitize
def test_what_else_is_with_the_second_half(httpd):
    """A coalesced packet that nobody can read, and a 0-RTT packet of its own in front."""
    hello, scid = udp.client_hello_bytes()
    dcid, half = os.urandom(8), len(hello) // 2
    early = udp.long_header(udp.V1, dcid, scid, 0xd0, b"\x44\x00" + os.urandom(1024))
    second = udp.initial(dcid, scid, udp.crypto_frame(hello[half:], half), pn=1, size=1100)
    second += udp.long_header(udp.V1, dcid, scid, 0xd0, b"\x40\x40" + os.urandom(64))
    with one(httpd) as sock:
        sock.send(early + bytes(1200 - len(early)))
        sock.send(second + bytes(1200 - len(second)))
        sock.send(udp.initial(dcid, scid, udp.crypto_frame(hello[:half])))
        answers = until(lambda: sock.answers(1), 10, "an answer")
    assert udp.frame_types(answers[0], dcid) >= {0x06}


@pytest.mark.sanitize
def test_halves_of_two_clients(httpd):
    """The same id from two addresses: neither gets the other's half."""
    hello, scid = udp.client_hello_bytes()
    dcid, half = os.urandom(8), len(hello) // 2
    with one(httpd) as victim, one(httpd) as stranger:
        stranger.send(udp.initial(dcid, scid, udp.crypto_frame(bytes(300), half), pn=1))
        victim.send(udp.initial(dcid, scid, udp.crypto_frame(hello[half:], half), pn=1))
        victim.send(udp.initial(dcid, scid, udp.crypto_frame(hello[:half])))
        answers = until(lambda: victim.answers(1), 10, "an answer")
        assert udp.frame_types(answers[0], dcid) >= {0x06}
        assert stranger.answers(0.3) == []


@pytest.mark.sanitize
def test_flood_of_second_halves(httpd):
    """From nobody: none takes a connection, memory is that of one child's fixed number, and the
    newest are kept."""
    hello, scid = udp.client_hello_bytes()
    half, accepted = len(hello) // 2, httpd.gauge("Accepted")
    dropped, half_open = httpd.gauge("DroppedDatagrams"), httpd.gauge("HalfOpen")
    with one(httpd) as sock:
        sock.sock.setblocking(True)
        for part in range(20):
            for _ in range(25):
                sock.send(udp.initial(os.urandom(8), scid, udp.crypto_frame(hello[half:], half),
                                      pn=1))
            until(lambda: httpd.gauge("DroppedDatagrams") >= dropped + 25 * (part + 1) - 64, 10,
                  "they are read")
    assert httpd.gauge("Accepted") == accepted and httpd.gauge("HalfOpen") <= half_open
    with large_hello(httpd) as (conn, first):
        conn.transport.send_datagram(first[1])
        conn.transport.send_datagram(first[0])
        assert finishes(conn)


# -- version negotiation

@pytest.mark.sanitize
@pytest.mark.parametrize("dcid, scid", [(0, 0), (8, 0), (8, 8), (20, 20), (21, 3), (255, 255)])
def test_version_negotiation(httpd, dcid, scid):
    """RFC 9000 section 17.2.1: connection IDs of any length come back, exchanged."""
    datagram = udp.unknown_version(dcid=os.urandom(dcid), scid=os.urandom(scid))
    with one(httpd) as sock:
        sock.send(datagram)
        answers = sock.answers(10, 1) + sock.answers(0.4)
    assert len(answers) == 1
    first, version, back_dcid, back_scid, rest = udp.parse_long(answers[0])
    _, _, sent_dcid, sent_scid, _ = udp.parse_long(datagram)
    assert first & 0x80 and version == 0
    assert (back_dcid, back_scid) == (sent_scid, sent_dcid)
    versions = [int.from_bytes(rest[i:i + 4], "big") for i in range(0, len(rest), 4)]
    assert len(rest) % 4 == 0 and udp.V1 in versions and udp.GREASE_VERSION not in versions
    assert 0 not in versions and len(answers[0]) < len(datagram)


@pytest.mark.parametrize("size", [7, 100, 1199])
def test_unknown_version_in_a_small_datagram(httpd, size):
    with one(httpd) as sock:
        assert sock.ask(udp.unknown_version(size), 0.4) is None


def test_flood_of_unknown_versions(httpd):
    """As many as this process can send: the answers are limited (RFC 9000 section 6.1), and a
    client that means it is served all the while."""
    before, began = httpd.gauge("VersionNegotiations"), time.monotonic()
    with one(httpd) as sock, httpd.h3() as conn:
        for i in range(10):
            for _ in range(3000):
                try:
                    sock.send(udp.unknown_version())
                except BlockingIOError:
                    break
            assert conn.request("GET", "/small.txt?%d" % i).body == content.SMALL
    answered, took = httpd.gauge("VersionNegotiations") - before, time.monotonic() - began
    # 300 at once and 300 a second, in each of the children.
    assert 0 < answered <= len(httpd.children()) * 300 * (took + 1.5)


@pytest.mark.sanitize
def test_version_negotiation_is_never_answered(httpd):
    """RFC 9000 section 6.1: two servers would talk for ever."""
    packet = udp.long_header(0, os.urandom(8), os.urandom(8), 0xc0,
                             udp.V1.to_bytes(4, "big") + b"\x1a\x2a\x3a\x4a")
    with one(httpd) as sock:
        sock.send(packet)
        sock.send(packet + b"\x0a\x1a\x2a\x3a" * 300)
        sock.send(udp.long_header(0, b"", b"", 0x80, bytes(1200)))
        assert sock.answers(0.5) == []


@pytest.mark.sanitize
def test_version_negotiation_on_a_living_connection(httpd):
    """And a Retry: CVE-2023-38171 was a crash."""
    with httpd.h3() as conn:
        cid = conn.quic.peer_ids[0][0]
        own = conn.quic.host_cid
        for dcid, scid in ((cid, own), (own, cid)):
            for datagram in (
                    udp.long_header(0, dcid, scid, 0xc0, udp.V1.to_bytes(4, "big")),
                    udp.long_header(udp.V1, dcid, scid, 0xf0, os.urandom(40)),
                    udp.unknown_version(1200, dcid=dcid, scid=scid)):
                conn.transport.send_datagram(datagram)
        assert conn.request("GET", "/small.txt").body == content.SMALL


def test_client_falls_back_to_version_1(httpd):
    """A client that begins with a version of its own is led to version 1."""
    with httpd.h3(versions=[0x6b3343cf, udp.V1]) as conn:
        assert conn.quic.version == udp.V1
        assert conn.request("GET", "/small.txt").body == content.SMALL


# -- floods of nothing

@pytest.mark.sanitize
def test_empty_and_tiny_datagrams(httpd):
    """CVE-2026-11352: they are datagrams too, and leave room for others."""
    with one(httpd) as sock, httpd.h3() as conn:
        began = time.monotonic()
        for i in range(20):
            for _ in range(500):
                try:
                    sock.send(b"")
                    sock.send(os.urandom(1))
                except BlockingIOError:
                    break           # our own socket's buffer is full: they are under way
            assert conn.request("GET", "/small.txt?%d" % i).body == content.SMALL
        assert time.monotonic() - began < bound(20)
        assert sock.answers(0.2) == []


# -- stateless reset

@pytest.mark.sanitize
def test_reset_is_smaller_than_its_trigger(httpd):
    """RFC 9000 section 10.3.3; for identifiers that nobody gave out there may be none."""
    dcid = os.urandom(20)       # one for all: one of 65,536 has our mark, and is another child's
    with one(httpd) as sock:
        for size in list(range(1, 60)) + [100, 500, 1200, 1400]:
            sock.send(udp.short_header(size, dcid[:size - 1]))
            for answer in sock.answers(0.02):
                assert MIN_RESET <= len(answer) < size, size
                assert not answer[0] & 0x80 and answer[0] & 0x40


@pytest.fixture
def dead(fresh_httpd):
    """A server whose child has been killed while a connection lived, and that connection."""
    httpd = fresh_httpd()
    httpd.allowed_trouble.append("exit signal Killed")
    httpd.vhost("h3.test")
    httpd.start()
    conn = httpd.h3()
    assert conn.request("GET", "/small.txt").body == content.SMALL
    conn.ping()
    child = httpd.child()
    os.kill(child, signal.SIGKILL)
    until(lambda: httpd.children() and httpd.child() != child, 20, "another child")
    assert serves(httpd)
    yield httpd, conn
    conn.abandon()


def test_reset_for_a_connection_whose_owner_is_gone(dead):
    """The client learns it at once, by the token that it was given."""
    httpd, conn = dead
    with pytest.raises((ConnectionEnded, TimeoutError)):
        conn.request("GET", "/small.txt", timeout=8)
    assert conn.stateless_reset
    assert all(size >= MIN_RESET for size in conn.received[-1:])


def test_resets_end_between_two_servers(dead):
    """Each answer is smaller than what caused it, so a loop of resets runs dry."""
    httpd, conn = dead
    cid = conn.quic.peer_ids[0][0]
    datagram, count = b"\x40" + cid + os.urandom(1100), 0
    with one(httpd) as sock:
        while datagram is not None and count < 40:
            # As a second server would see it: the same connection ID, the size of the answer.
            answer = sock.ask(datagram, 0.3)
            assert answer is None or MIN_RESET <= len(answer) < len(datagram)
            datagram = None if answer is None else b"\x40" + cid + answer[1 + len(cid):]
            count += 1
    assert 1 <= count < 40


def test_a_small_datagram_is_reset_too(dead):
    """RFC 9000 section 10.3: a client that sends only PING or ACK learns it as well."""
    httpd, conn = dead
    cid = conn.quic.peer_ids[0][0]
    with one(httpd) as sock:
        assert sock.ask(b"\x40" + cid + os.urandom(4), 0.3) is None    # 21 bytes
        for size in (22, 37, 42, 43, 44):
            answer = sock.ask(b"\x40" + cid + os.urandom(size - 1 - len(cid)), 10)
            assert len(answer) == min(size - 1, 42)


def test_resets_are_limited_in_number(dead):
    httpd, conn = dead
    cid, began = conn.quic.peer_ids[0][0], time.monotonic()
    with one(httpd) as sock:
        for _ in range(2000):
            sock.send(b"\x40" + cid + os.urandom(60))
        got = len(sock.answers(0.5))
    # 300 at once and 300 a second.
    took = time.monotonic() - began
    assert 0 < got <= 300 * (took + 1), "%d resets for 2000 datagrams in %.2f s" % (got, took)


@pytest.mark.parametrize("flood", ["versions", "resets"])
def test_a_flood_of_one_kind_leaves_the_others(dead, flood):
    """What Version Negotiation is asked for takes nothing from stateless resets, nor the other way
    round: each answer has a limit of its own."""
    httpd, conn = dead
    cid = conn.quic.peer_ids[0][0]
    version, reset = udp.unknown_version(), b"\x40" + cid + os.urandom(60)
    many, few = (version, reset) if flood == "versions" else (reset, version)
    with one(httpd) as noise, one(httpd) as sock:
        noise.sock.setblocking(True)
        for _ in range(20):
            for _ in range(100):
                noise.send(many)
            sock.send(few)
            assert sock.answers(10, 1), "no answer in the flood"


def test_a_flood_of_refusals_leaves_the_others(fresh_httpd):
    """The house is full, and thousands ask: an unknown version is still answered."""
    httpd = fresh_httpd()
    httpd.add("H3MaxConnections 4\nH3HandshakeTimeout 30")
    httpd.vhost("h3.test")
    httpd.start()
    hello, scid = udp.client_hello_bytes()
    with one(httpd) as noise, one(httpd) as sock:
        noise.sock.setblocking(True)
        noise.send(udp.initial(os.urandom(8), scid, udp.crypto_frame(hello[:200])))
        until(lambda: httpd.gauge("HalfOpen") == 1, 5, "the only one that may be half-open")
        refused = udp.initial(os.urandom(8), scid, udp.crypto_frame(hello))
        for _ in range(10):
            for _ in range(100):
                noise.send(refused)
            sock.send(udp.unknown_version())
            assert sock.answers(10, 1), "no answer in the flood"
    httpd.wait_gauges(HalfOpen=1)
    assert httpd.gauge("Refused") > 300


def test_no_reset_for_a_living_connection(fresh_httpd):
    """RFC 9000 section 21.11: from 300 other ports, to four children, never the token of a
    connection that lives, nor one of nothing but zeros."""
    httpd = fresh_httpd(mpm_text="StartServers 4\nServerLimit 4\nThreadsPerChild 4\n"
                        "MinSpareThreads 16\nMaxSpareThreads 16\nMaxRequestWorkers 16\n")
    httpd.vhost("h3.test")
    httpd.start()
    until(lambda: httpd.gauge("Children") == 4, 10, "four children serve HTTP/3")
    with httpd.h3() as conn:
        conn.wait(lambda: len(conn.quic.peer_ids) >= 2)
        ids, tokens = zip(*conn.quic.peer_ids)
        answers = []
        for i in range(300):
            with one(httpd) as sock:
                sock.send(udp.short_header(1200, dcid=ids[i % len(ids)]))
                answers += sock.answers(0.005)
        assert not [a for a in answers if a[-16:] in tokens or a[-16:] == bytes(16)]
        assert conn.request("GET", "/small.txt").body == content.SMALL
    assert httpd.gauge("ForeignDatagrams") == 0


# -- half-open connections

@pytest.mark.sanitize
def test_handshake_timeout(httpd):
    """A client that never finishes, and says something valid all the time, is dropped when
    H3HandshakeTimeout is over."""
    httpd.wait_gauges(HalfOpen=0)
    hello, scid = udp.client_hello_bytes()
    dcid = os.urandom(8)
    with one(httpd) as sock:
        began, pn = time.monotonic(), 1
        sock.send(udp.initial(dcid, scid, udp.crypto_frame(hello[:200])))
        until(lambda: httpd.gauge("HalfOpen") == 1, 2, "one half-open connection")
        while httpd.gauge("HalfOpen"):
            assert time.monotonic() - began < bound(4), "still half-open"
            sock.send(udp.initial(dcid, scid, udp.crypto_frame(hello[200 + pn:201 + pn],
                                                               200 + pn), pn=pn))
            pn += 1
            sock.answers(0.2)
        assert time.monotonic() - began > 1


@pytest.mark.sanitize
def test_two_clients_that_make_up_the_same_id(httpd):
    """The first one's it is: what the other sends is neither answered nor mixed up with it, in the
    handshake and after it."""
    hello, scid = udp.client_hello_bytes()
    dcid = os.urandom(8)
    other = udp.initial(dcid, scid, udp.crypto_frame(hello))
    with one(httpd) as sock, httpd.h3(connect=False, dcid=dcid) as first:
        first.begin()
        first.flush()
        sock.send(other)
        first.wait(lambda: first.handshake is not None)
        first.start_h3()
        sock.send(other)
        assert first.request("GET", "/small.txt").body == content.SMALL
        assert sock.answers(0.3) == []
        assert httpd.gauge("HalfOpen") == 0


@pytest.mark.sanitize
def test_a_client_hello_full_of_holes(httpd):
    """RFC 9000 sections 7.5, 21.7: every second byte, from an address that may be forged. Each hole
    is an object of the library's; there is an end to it long before the handshake timeout."""
    hello, scid = udp.client_hello_bytes()
    dcid = os.urandom(8)
    with one(httpd) as sock:
        sock.send(udp.initial(dcid, scid, udp.crypto_frame(hello[:100])))
        for pn in range(1, 16):
            holes = range(200 + 400 * pn, 600 + 400 * pn, 2)
            sock.send(udp.initial(dcid, scid, b"".join(udp.crypto_frame(b"x", at)
                                                       for at in holes), pn=pn))

        def close_code():
            """Of the first CONNECTION_CLOSE."""
            codes = [udp.close_code(answer, dcid) for answer in sock.answers(1, 1)]
            return codes and codes[0]
        assert until(close_code, 10, "a CONNECTION_CLOSE") == 0x1
    assert serves(httpd)


def test_limit_of_connections(fresh_httpd):
    """Beyond H3MaxConnections CONNECTION_REFUSED (RFC 9000 section 5.2.2); a quarter of them may
    be half-open."""
    httpd = fresh_httpd()
    httpd.add("H3MaxConnections 8\nH3HandshakeTimeout 3")
    httpd.vhost("h3.test")
    httpd.start()
    conns = [httpd.h3() for _ in range(8)]
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3().close()
    assert info.value.transport and info.value.code == 0x2
    assert httpd.gauge("Refused") >= 1
    conns.pop().close()
    httpd.wait_gauges(Connections=7)
    conns.append(httpd.h3())
    for conn in conns:
        assert conn.request("GET", "/small.txt").status == 200
        conn.close()
    httpd.wait_gauges(Connections=0)
    hello, scid = udp.client_hello_bytes()
    socks = [one(httpd) for _ in range(6)]
    for sock in socks:
        sock.send(udp.initial(os.urandom(8), scid, udp.crypto_frame(hello[:200])))
    until(lambda: httpd.gauge("HalfOpen") == 2, 3, "two half-open connections")
    assert httpd.gauge("Connections") == 2
    for sock in socks:
        sock.sock.close()
    httpd.wait_gauges(Connections=0)
    assert serves(httpd)


def test_idle_timeout(httpd):
    """H3IdleTimeout ends a silent connection, without a word (RFC 9000 section 10.1)."""
    httpd.wait_gauges(Connections=0)
    conn = httpd.h3(idle_timeout=60)
    conn.request("GET", "/small.txt")
    assert httpd.gauge("Connections") == 1
    conn.abandon()
    httpd.wait_gauges(timeout=8, Connections=0)


@pytest.mark.sanitize
def test_closing_state_answers_less_and_less(httpd):
    """RFC 9000 section 10.2.1: packets to a closed connection do not each get an answer."""
    with httpd.h3() as conn:
        conn.request("GET", "/small.txt")
        conn.send_control(b"\x00\x01x")
        conn.flush()
        conn.wait_end()
        cid = conn.quic.peer_ids[0][0]
        conn.sock.setblocking(False)
        for _ in range(1000):
            conn.transport.send_datagram(udp.short_header(100, dcid=cid))
        time.sleep(0.2)
        count = 0
        while True:
            try:
                conn.sock.recv(65536)
                count += 1
            except BlockingIOError:
                break
    assert count <= 40, "%d answers to 1000 packets" % count


# -- sizes

@contextlib.contextmanager
def beyond_probes(httpd):
    """A connection that knows what its path carries: nothing large comes but what is asked for."""
    with httpd.h3() as conn:
        conn.wait(lambda: max(conn.received) > 1400)
        assert conn.request("GET", "/small.txt").body == content.SMALL
        conn.ping()
        yield conn


@pytest.mark.sanitize
@pytest.mark.parametrize("method, path, size", [
    ("GET", "/empty.txt", 0), ("HEAD", "/small.txt", 0), ("GET", "/nothere", 400),
    ("GET", "/k.txt", 1024)])
def test_small_answers_are_small_datagrams(httpd, method, path, size):
    """Nothing is filled up to the path's MTU that no datagram of the same batch follows; twice,
    because the second one finds its fields in QPACK's table."""
    with beyond_probes(httpd) as conn:
        for _ in range(2):
            at = len(conn.received)
            conn.request(method, path)
            conn.ping()
            assert sum(conn.received[at:]) < size + 600, conn.received[at:]


@pytest.mark.sanitize
def test_an_upload_is_acknowledged_in_small_datagrams(httpd):
    """Acknowledgements and credit."""
    with beyond_probes(httpd) as conn:
        at = len(conn.received)
        body = os.urandom(300000)
        assert conn.request("POST", "/cgi-bin/sha256.cgi", body=body).status == 200
        got = conn.received[at:]
    assert max(got) < 600 and sum(got) < 60 * len(got), got


@pytest.mark.sanitize
def test_a_large_answer_is_full_datagrams(httpd):
    """All of a batch but its last one have the path's size, as GSO wants it."""
    with beyond_probes(httpd) as conn:
        at, full = len(conn.received), max(conn.received)
        assert conn.request("GET", "/large.bin").body == content.LARGE
        # The server's acknowledgements of credit are no part of a batch.
        got = [size for size in conn.received[at:] if size > 100]
    assert got.count(full) > 0.9 * len(got), sorted(got)[:100]


def test_children_are_alive_after_all_this(httpd):
    assert len(httpd.children()) == 1 and procs.is_alive(httpd.child())
    assert httpd.gauge("ForeignDatagrams") == 0
    assert serves(httpd)
