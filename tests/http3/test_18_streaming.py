# SPDX-License-Identifier: Apache-2.0
"""A handler that passes on what it has and then waits: the client has it at once, whether or not
a FLUSH bucket followed."""
import os

import pytest

from h3test import content
from h3test.cc import shared
from h3test.fcgi import Piecewise
from h3test.wait import until

HEAD = b"Content-Type: text/plain\r\n\r\n"


@pytest.fixture(scope="module")
def responder():
    server = Piecewise()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def httpd(make_httpd, responder):
    httpd = make_httpd(modules=("proxy_fcgi",))
    httpd.add("LoadModule odd_module " + shared("mod_odd"))
    httpd.vhost("h3.test", """
    <Location /odd>
        SetHandler odd
    </Location>
    <Location /fcgi>
        SetHandler "proxy:fcgi://127.0.0.1:%d/"
    </Location>
    """ % responder.port)
    return httpd.start()


def read_until(conn, stream, version, want):
    """What has come of the body, until it ends with `want`."""
    if version == "3":
        conn.wait(lambda: bytes(stream.response.body).endswith(want) or stream.done, 10)
        return bytes(stream.response.body)
    response = conn.responses[stream]
    while not response.body.endswith(want):
        conn.turn()
    return bytes(response.body)


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("size", [1, 100, 5000, 40000])
def test_each_piece_at_once(httpd, responder, version, size):
    """The next one is made when the client has the last one, so a piece that is kept back would be
    waited for in vain."""
    with httpd.client(version) as conn:
        stream = conn.open("GET", "/fcgi/page.php")
        responder.put(HEAD + b"piece 0\n")
        body = read_until(conn, stream, version, b"piece 0\n")
        for i in range(1, 6):
            end = b"piece %d\n" % i
            responder.put(b"x" * size + end)
            body = read_until(conn, stream, version, end)
            assert body.count(b"piece") == i + 1
        responder.put(None)
        response = stream.finish() if version == "3" else conn.finish(stream)
        assert response.status == 200 and response.body == body


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["2", "3"])
def test_a_piece_behind_a_burst(httpd, responder, version):
    """What comes while the I/O thread is busy with what came before."""
    with httpd.client(version) as conn:
        stream = conn.open("GET", "/fcgi/burst.php")
        responder.put(HEAD + b"x" * 30000)
        for i in range(5):
            for _ in range(20):
                responder.put(b"y" * 1000)
            responder.put(b"end %d\n" % i)
            read_until(conn, stream, version, b"end %d\n" % i)
        responder.put(None)
        response = stream.finish() if version == "3" else conn.finish(stream)
        assert len(response.body) == 30000 + 5 * (20000 + 6)


@pytest.fixture
def gate(httpd):
    """Opened, it lets the handlers go on that wait at it."""
    path = httpd.path("run", "odd-gate")
    yield lambda: content.write(path, "open")
    os.remove(path)


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["2", "3"])
def test_a_handler_that_waits(httpd, gate, version):
    with httpd.client(version) as conn:
        stream = conn.open("GET", "/odd?passes_then_waits")
        assert read_until(conn, stream, version, b"a piece\n") == b"a piece\n"
        gate()
        response = stream.finish() if version == "3" else conn.finish(stream)
        assert response.body == b"a piece\n"


@pytest.mark.sanitize
def test_a_handler_that_waits_with_the_head_alone(httpd, gate):
    with httpd.h3() as conn:
        stream = conn.open("GET", "/odd?passes_nothing_then_waits")
        assert stream.wait_head().status == 200 and not stream.done
        gate()
        assert stream.finish().body == b""


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["2", "3"])
def test_a_handler_that_waits_behind_its_end(httpd, gate, version):
    """The response is whole when it is, not when the handler returns."""
    before = httpd.access().count("ends_then_waits")
    with httpd.client(version) as conn:
        stream = conn.open("GET", "/odd?ends_then_waits")
        response = stream.finish() if version == "3" else conn.finish(stream)
        assert response.body == b"a piece\n"
        gate()
    until(lambda: httpd.access().count("ends_then_waits") > before, 10, "the handler has returned")
