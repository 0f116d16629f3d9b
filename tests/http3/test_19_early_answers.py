# SPDX-License-Identifier: Apache-2.0
"""Answers that come before the request's body has: what is still on its way is received and thrown
away, so that the client may come to its end; it is not waited for, and bounded."""
import time

import pytest

from h3test import content
from h3test.h3conn import H3_NO_ERROR, H3_REQUEST_CANCELLED, HEADERS, frame

BOUND, AT_ONCE = 64 << 20, 100


def made(make, backend, text="", **options):
    httpd = make(**options)
    httpd.add(text)
    httpd.vhost("h3.test", """ProxyPass /backend/ http://127.0.0.1:%d/
    <Location /cgi-bin/little/>
        LimitRequestBody 1000
    </Location>
    ScriptAlias /cgi-bin/little/ cgi-bin/""" % backend.port)
    return httpd.start()


@pytest.fixture(scope="module")
def httpd(make_httpd, backend):
    """The smallest windows there are: bytes that are not credited stop their stream, or all."""
    return made(make_httpd, backend, "H3WindowSize 16384\nH3ConnWindowSize 16384")


@pytest.fixture(scope="module")
def roomy(make_httpd, backend):
    return made(make_httpd, backend, "H3MaxSessionStreams 200", timeout=120)


@pytest.fixture(scope="module")
def hasty(make_httpd, backend):
    return made(make_httpd, backend, timeout=1)


def logged(httpd, path):
    return sum('"POST %s ' % path in line for line in httpd.access().splitlines())


def send_on(stream, size):
    """So much more of a body, until it is in packets, or refused."""
    stream.send(b"b" * size)
    stream.conn.wait(lambda: not stream.unsent() or stream.stop_code is not None)


@pytest.mark.sanitize
@pytest.mark.parametrize("path, status", [
    ("/nothere", 404), ("/private/index.html", 401), ("/small.txt", 200),
    ("/cgi-bin/little/sha256.cgi", 413)])
def test_the_rest_is_received(httpd, path, status):
    """All of it, with credit for stream and connection; the log does not wait for its end."""
    before = logged(httpd, path)
    with httpd.h3() as conn:
        stream = conn.open("POST", path, [("content-length", "400000")], end_stream=False)
        send_on(stream, 200000)
        conn.wait(lambda: stream.done)
        assert stream.response.status == status and stream.reset_code is None
        conn.wait(lambda: logged(httpd, path) == before + 1 and httpd.gauge("Streams") == 0)
        send_on(stream, 200000)
        assert stream.stop_code is None
        stream.raw(b"", end=True)
        assert conn.request("GET", "/small.txt").body == content.SMALL
    assert logged(httpd, path) == before + 1


@pytest.mark.sanitize
def test_the_rest_behind_a_head_that_is_refused(httpd):
    """A field that is too long for the library, the rest of the head and the body after it."""
    with httpd.h3() as conn:
        stream = conn.open_stream()
        block = conn.encode(stream.id, conn.head("POST", "/small.txt"))
        # x-long: a literal, its length in a prefix of seven bits. RFC 9204 section 4.5.6
        block += b"\x26x-long\x7f\xa1\x8c\x06" + b"~" * 100000
        stream.raw(frame(HEADERS, block))
        conn.wait(lambda: stream.done)
        assert stream.response.status == 431 and stream.reset_code is None
        send_on(stream, 200000)
        assert stream.stop_code is None
        stream.raw(b"", end=True)
        assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.sanitize
def test_not_stopped_while_it_comes(hasty):
    """A long upload over a slow line, which takes much longer than Timeout."""
    with hasty.h3() as conn:
        stream = conn.open("POST", "/nothere", [("content-length", "400000")], end_stream=False)
        conn.wait(lambda: stream.done)
        began = time.monotonic()
        for _ in range(8):
            send_on(stream, 50000)
            conn.pump(0.3)
        assert time.monotonic() - began > 2 and stream.stop_code is None
        stream.raw(b"", end=True)
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
def test_stopped_when_its_time_is_over(hasty):
    """A client that goes on for ever: STOP_SENDING after Timeout. RFC 9114 section 4.1"""
    before = hasty.gauge("StreamResets")
    with hasty.h3() as conn:
        stream = conn.open("POST", "/nothere", end_stream=False)
        conn.wait(lambda: stream.done)
        assert stream.response.status == 404 and stream.stop_code is None
        while stream.stop_code is None:
            stream.send(b".")
            conn.pump(0.1)
            assert conn.ended is None
        assert stream.stop_code == H3_NO_ERROR and stream.reset_code is None
        # The client's RESET_STREAM, which follows, is none of the answer.
        assert conn.request("GET", "/small.txt").status == 200
        assert hasty.gauge("StreamResets") == before


def test_stopped_when_it_is_too_much(httpd):
    """At once where its length says so, else when it has come."""
    with httpd.h3() as conn:
        for length, stopped in ((1 << 30, False), ((1 << 30) + 1, True)):
            stream = conn.open("POST", "/nothere", [("content-length", str(length))],
                               end_stream=False)
            conn.wait(lambda: stream.done)
            assert stream.response.status == 404
            conn.ping()
            assert stream.stop_code == (H3_NO_ERROR if stopped else None)
        assert conn.request("GET", "/small.txt").status == 200


def test_stopped_when_too_much_has_come(roomy):
    with roomy.h3() as conn:
        stream = conn.open("POST", "/nothere", end_stream=False)
        sent = 0
        while stream.stop_code is None:
            assert sent < BOUND + (4 << 20)
            send_on(stream, 1 << 20)
            sent += 1 << 20
        assert sent >= BOUND and stream.stop_code == H3_NO_ERROR
        assert stream.response.status == 404 and stream.reset_code is None
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
def test_many_at_once(roomy):
    """So many of a connection are received, others are stopped at once; all are answered."""
    with roomy.h3() as conn:
        streams = [conn.open("POST", "/nothere", end_stream=False) for _ in range(AT_ONCE + 20)]
        conn.wait(lambda: all(s.done for s in streams)
                  and sum(s.stop_code is not None for s in streams) == 20)
        assert {s.response.status for s in streams} == {404}
        # What has ended makes room.
        going = [s for s in streams if s.stop_code is None]
        for stream in going[:10]:
            stream.send(b"the end", end=True)
        for stream in going[10:20]:
            stream.reset()
        conn.ping()
        more = [conn.open("POST", "/nothere", end_stream=False) for _ in range(21)]
        conn.wait(lambda: all(s.done for s in more)
                  and sum(s.stop_code is not None for s in more) == 1)
        conn.wait(lambda: roomy.gauge("Streams") == 0)


@pytest.mark.sanitize
def test_a_reset_of_the_rest_is_none_of_the_answer(httpd):
    """A client may give its body up and wait for the answer all the same."""
    with httpd.h3(max_stream_data=65536) as conn:
        conn.quic.hold_credit = True
        stream = conn.open("POST", "/large.bin", end_stream=False)
        stream.send(b"b" * 10000)
        conn.wait(lambda: stream.received > 50000)
        conn.wait(lambda: httpd.gauge("Requests") == 1)
        stream.reset(H3_REQUEST_CANCELLED)
        conn.ping()
        conn.quic.hold_credit = False
        assert stream.finish().body == content.LARGE
        assert stream.stop_code is None


@pytest.mark.sanitize
def test_whoever_takes_no_answer_is_given_up(hasty):
    """Sending on is no sign of life for an answer that is not taken: Timeout."""
    with hasty.h3(max_stream_data=65536) as conn:
        conn.quic.hold_credit = True
        stream = conn.open("POST", "/large.bin", end_stream=False)
        conn.wait(lambda: stream.stop_code is not None or stream.send(b"and on, "))
        conn.wait(lambda: stream.done)
        assert stream.reset_code == H3_REQUEST_CANCELLED
        conn.wait(lambda: hasty.gauge("Streams") == 0)


@pytest.mark.sanitize
def test_a_connection_that_ends_meanwhile(roomy):
    """Nothing is left of it; a graceful end waits for the rest, for as long as it may take."""
    with roomy.h3() as gone, roomy.h3() as conn:
        for each in (gone, conn):
            stream = each.open("POST", "/nothere", end_stream=False)
            each.wait(lambda s=stream: s.done)
        gone.close()
        roomy.graceful()
        conn.wait(lambda: len(conn.goaways) == 2)
        stream.send(b"the end", end=True)
        assert conn.wait_end(15).code == H3_NO_ERROR
        assert stream.response.status == 404 and stream.reset_code is None


@pytest.mark.sanitize
def test_expect_100_continue(httpd):
    """The answer comes in place of 100; the client sends no body, or sends it all the same."""
    fields = [("expect", "100-continue"), ("content-length", "100000")]
    with httpd.h3() as conn:
        for sends in (False, True):
            stream = conn.open("POST", "/private/index.html", fields, end_stream=False)
            conn.wait(lambda: stream.done)
            assert stream.response.status == 401 and not stream.response.interim
            if sends:
                send_on(stream, 100000)
                stream.raw(b"", end=True)
            else:
                stream.reset()
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [300000, 1000000])
def test_of_a_backend(httpd, backend, size):
    """A backend that has answered reads no more, or is gone."""
    with httpd.h3() as conn:
        stream = conn.open("POST", "/backend/early", [("content-length", str(size))],
                           end_stream=False)
        send_on(stream, size)
        stream.raw(b"", end=True)
        answer = stream.finish()
        assert (answer.status, answer.body) == (403, b"early\n")
        assert stream.stop_code is None
        assert conn.request("GET", "/small.txt").status == 200
