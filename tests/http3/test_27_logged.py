# SPDX-License-Identifier: Apache-2.0
"""What the log says of responses that did not reach their clients whole, and of those that did."""
import re

import pytest

from h3test import content
from h3test.response import StreamEnded
from h3test.wait import until

BIG = 64 << 20
WINDOW = 40000


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(timeout=2)
    httpd.add('LogFormat "%H %U%q %X %B %O %>s" ends')
    httpd.add("CustomLog %s ends" % httpd.path("logs", "ends"))
    httpd.add("H3IdleTimeout 1")
    httpd.vhost(body="SetEnvIf Request_URI /short.cgi ap_trust_cgilike_cl=1")
    content.sparse(httpd.docs + "/big.bin", BIG)
    return httpd.start()


def logged(httpd, path, version="3.0"):
    """(%X, %B, %O) of the request of this path."""
    pattern = re.compile(r"HTTP/%s %s (.) (\d+) (\d+) \d+" % (version, re.escape(path)))

    def line():
        with open(httpd.path("logs", "ends")) as file:
            return pattern.search(file.read())
    how, ready, sent = until(line, 20, "a line for " + path).groups()
    return how, int(ready), int(sent)


def stuck(httpd, path, **options):
    """A client that takes WINDOW bytes, frames and all, and no more."""
    conn = httpd.h3(max_stream_data=WINDOW)
    conn.quic.hold_credit = True
    stream = conn.open("GET", path, **options)
    conn.wait(lambda: stream.received > WINDOW - 1000)
    return conn, stream


def closes(conn, stream):
    conn.close()


def vanishes(conn, stream):
    conn.abandon()


def stops(conn, stream):
    stream.stop_sending()
    conn.pump(0.2)
    conn.close()


def resets(conn, stream):
    stream.reset()
    conn.pump(0.2)
    conn.close()


def waits(conn, stream):
    """Longer than Timeout."""
    conn.wait(lambda: stream.done, 20)
    conn.close()


@pytest.mark.sanitize
@pytest.mark.parametrize("leaves", [closes, vanishes, stops, resets, waits])
def test_client_that_leaves(httpd, leaves):
    before = int(httpd.status()["Total kBytes"])
    path = "/big.bin?" + leaves.__name__
    # With a body to come: what has been sent cannot be reset any more.
    options = {"end_stream": False, "fields": [("content-length", "5")]} if leaves is resets else {}
    leaves(*stuck(httpd, path, **options))
    how, ready, sent = logged(httpd, path)
    assert (how, ready) == ("X", BIG)
    assert WINDOW - 1000 < sent <= WINDOW
    assert int(httpd.status()["Total kBytes"]) - before < 1000


def test_same_over_http2(httpd):
    with httpd.h2() as conn:
        conn.h2.send_headers(1, [(":method", "GET"), (":scheme", "https"), (":path", "/big.bin?h2"),
                                 (":authority", "h3.test")], end_stream=True)
        conn.sock.sendall(conn.h2.data_to_send())
        got = 0
        while got < WINDOW:
            got += len(conn.sock.recv(4096))
    how, ready, sent = logged(httpd, "/big.bin?h2", "2.0")
    assert (how, ready) == ("X", BIG) and sent < BIG // 4


@pytest.mark.sanitize
def test_script_that_is_running(httpd):
    conn, _ = stuck(httpd, "/cgi-bin/endless.cgi")
    conn.close()
    how, _, sent = logged(httpd, "/cgi-bin/endless.cgi")
    assert how == "X" and sent <= WINDOW


def test_response_that_breaks_off(httpd):
    with pytest.raises(StreamEnded):
        httpd.fetch("3", "/cgi-bin/short.cgi")
    assert logged(httpd, "/cgi-bin/short.cgi")[0] == "X"


@pytest.mark.sanitize
@pytest.mark.parametrize("method, path, fields", [
    ("GET", "/small.txt?get", ()), ("HEAD", "/large.bin?head", ()), ("GET", "/empty.txt?empty", ()),
    ("GET", "/small.txt?304", (("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),)),
    ("GET", "/large.bin?get", ()), ("GET", "/nothere?404", ()), ("GET", "/cgi-bin/env.cgi?cgi", ()),
    ("GET", "/cgi-bin/stream.cgi?stream", ())])
def test_whole_response(httpd, method, path, fields):
    response = httpd.fetch("3", path, method, fields)
    how, ready, sent = logged(httpd, path)
    assert (how, ready) == ("-", len(response.body))
    assert 4 < sent - len(response.body) < 1000


def test_client_that_vanishes_with_the_last_byte(httpd):
    """It has got all, but nobody will ever acknowledge that."""
    conn = httpd.h3()
    stream = conn.open("GET", "/small.txt?vanishes")
    conn.transport.on_send = lambda data: None
    conn.wait(lambda: stream.done)
    conn.abandon()
    assert logged(httpd, "/small.txt?vanishes")[0] == "-"


def test_answer_to_a_body_that_is_not_read(httpd):
    with httpd.h3() as conn:
        stream = conn.open("POST", "/nothere?early", [("content-length", "100000")],
                           end_stream=False)
        stream.send(b"x" * 1000)
        assert stream.wait_head().status == 404
        conn.wait(lambda: stream.ended)
        stream.reset()
        conn.pump(0.2)
    assert logged(httpd, "/nothere?early")[0] == "-"


@pytest.fixture(scope="module")
def traced(make_httpd):
    httpd = make_httpd()
    httpd.add("LogLevel http3:trace4")
    httpd.vhost()
    return httpd.start()


def story(httpd, after):
    """What the workers say of the one request since `after`, from the first line to the last."""
    line = re.compile(r"\[http3:trace\d\].* conn \w{8} stream 0: (.*)")

    def told():
        said = line.findall(httpd.log()[after:])
        return said if said and said[-1].startswith("finished") else None
    return until(told, 20, "the request is finished, says the log")


def in_order(said, *patterns):
    rest = iter(said)
    for pattern in patterns:
        assert any(re.match(pattern, line) for line in rest), (pattern, said)


@pytest.mark.sanitize
def test_trace_of_both_bodies(traced):
    """LogLevel http3:trace4: a body can be followed through the worker, and so can its answer."""
    after = len(traced.log())
    with traced.h3() as conn:
        response = conn.request("POST", "/cgi-bin/echo.cgi", body=iter([b"x" * 1000, b"y" * 500]))
    assert len(response.body) == 1500
    said = story(traced, after)
    in_order(said, r"run by worker \d+$", r"body: \d+ bytes$", r"body: EOS$",
             r"response: head 200, \d+ fields$", r"response: \d+ bytes$", r"response: EOS$",
             r"response: complete, 1500 bytes$", r"response: EOR$", r"its handler has returned$",
             r"leaves the pipe, with its worker$", r"finished, \d+ bytes sent$")
    in_order(said, r"body: asked, READBYTES, blocking, \d+ bytes$")
    read = [int(n) for n in re.findall(r"^body: (\d+) bytes$", "\n".join(said), re.M)]
    passed = [int(n) for n in re.findall(r"^response: (\d+) bytes$", "\n".join(said), re.M)]
    assert (sum(read), sum(passed)) == (1500, 1500)


def test_trace_of_a_file(traced):
    after, size = len(traced.log()), len(content.LARGE)
    with traced.h3() as conn:
        assert conn.request("GET", "/large.bin").body == content.LARGE
    in_order(story(traced, after), "response: head 200,",
             r"response: %d bytes of a file, from 0 on, as a span$" % size,
             r"response: complete, %d bytes$" % size, "response: EOR", "finished")


def test_trace_of_a_body_that_breaks_off(traced):
    after = len(traced.log())
    with traced.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/echo.cgi", end_stream=False)
        stream.send(b"half a body")
        traced.wait_log("body: 11 bytes", after=after)
        stream.reset()
        conn.pump(0.2)
    in_order(story(traced, after), "body: 11 bytes", "body: nothing to read", "response: EOR",
             r"finished, \d+ bytes sent, not to its end$")


def test_no_trace_at_info(httpd):
    after = len(httpd.log())
    httpd.fetch("3", "/small.txt")
    logged(httpd, "/small.txt")
    assert "stream 0: " not in httpd.log()[after:]


def test_trace_through_the_io_thread(traced):
    """What it has of both bodies, with trace2."""
    after = len(traced.log())
    with traced.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/echo.cgi", end_stream=False)
        stream.send(b"x" * 100000)
        stream.send(b"", end=True)
        assert stream.finish().status == 200
        traced.wait_log(r"\S+: stream %d: closed" % stream.id, after=after)
        log = traced.log()[after:]
    way = [r"(\d+) bytes of its body to httpd", "its body is complete", "head with status 200",
           r"\d+ bytes offered", r"\d+ bytes sent, FIN", r"(\d+) bytes of its body acknowledged",
           "closed"]
    lines = re.findall(r"conn [0-9a-f]{8} \S+: stream %d: (.*)" % stream.id, log)
    found = [[match for match in (re.fullmatch(step, line) for line in lines) if match]
             for step in way]
    assert all(found), dict(zip(way, map(len, found)))
    assert sum(int(match[1]) for match in found[0]) == 100000
    assert any(line.startswith("credit for ") for line in lines)
    assert way[-1] == lines[-1]
