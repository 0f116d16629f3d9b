# SPDX-License-Identifier: Apache-2.0
"""Heads of requests: fields that HTTP does not permit, names and values of any length, requests
whose end comes later than their head, and work that stays bounded."""
import os

import pytest

from h3test import content, procs
from h3test.h3conn import DATA, HEADERS, NAMES, frame
from h3test.response import ConnectionEnded, StreamEnded
from h3test.wait import until

BASIC = "Basic YWxpY2U6b3BlbiBzZXNhbWU="      # content.USER and content.PASSWORD


@pytest.fixture(scope="module")
def httpd(make_httpd, backend):
    httpd = make_httpd(modules=("dav", "dav_fs", "dav_lock", "proxy", "proxy_http"))
    dav = httpd.path("dav")
    os.mkdir(dav)
    os.chmod(dav, 0o777)
    httpd.add('TraceEnable on\nDavLockDB "%s/run/davlock"\nAlias /dav "%s"\n<Directory "%s">\n'
              '    Dav On\n    Require all granted\n</Directory>' % (httpd.root, dav, dav))
    httpd.vhost("h3.test", "ProxyPass /backend/ http://127.0.0.1:%d/" % backend.port)
    return httpd.start()


def asked(conn, *fields, path="/small.txt", method="GET"):
    """The status of one request with these fields, names and values as they are."""
    return conn.request(head=conn.head(method, path) + list(fields)).status


# -- what HTTP does not permit

NOT_PERMITTED = {
    "blank_behind": ("x-a", "value "),
    "blank_before": ("x-a", " value"),
    "tab_behind": ("x-a", "value\t"),
    "only_a_blank": ("x-a", " "),
    "control": ("x-a", "a\x01b"),
    "nul": ("x-a", "a\x00b"),
    "line_feed": ("x-a", "a\nb"),
    "carriage_return": ("x-a", "a\rb"),
    "delete": ("x-a", "a\x7fb"),
    "blank_in_the_name": ("x a", "v"),
    "colon_in_the_name": ("x:a", "v"),
    "control_in_the_name": ("x\x01a", "v"),
    "eight_bits_in_the_name": (b"x-\xe4", "v"),
    "authorization": ("authorization", BASIC + " "),
    "cookie": ("cookie", "a=b\x01"),
    "range": ("range", "bytes=0-1 "),
    "expect": ("expect", "100-continue "),
    "priority": ("priority", "u=1\x01"),
    "x_forwarded_for": ("x-forwarded-for", "192.0.2.1 "),
    "another_host": ("host", "a.test?x"),
    "host_with_a_blank": ("host", "h3.test "),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", NOT_PERMITTED)
def test_a_field_that_http_does_not_permit(httpd, name):
    """The request is refused: without the field it would be another one."""
    after = len(httpd.log())
    with httpd.h3() as conn:
        # Several times: the client's encoder may put it into its table.
        assert [asked(conn, NOT_PERMITTED[name]) for _ in range(3)] == [400] * 3
        assert asked(conn) == 200
    httpd.wait_log("a field has a character that it cannot have", after=after)


@pytest.mark.sanitize
def test_a_field_without_a_name(httpd):
    with httpd.h3() as conn:
        stream = conn.open_stream()
        stream.raw(frame(HEADERS, section_of(conn, stream, literal(b"", b"v"))), end=True)
        assert stream.finish().status == 400
        assert asked(conn) == 200


@pytest.mark.sanitize
def test_fields_that_http_permits(httpd):
    with httpd.h3() as conn:
        for field in (("x-a", ""), ("x-a", "a b\tc"), ("x-a", b"\xe4\xff"),
                      ("x!#$%&'*+.^_`|~9", "v"), ("authorization", BASIC),
                      ("priority", "u=9, nonsense"), ("te", "trailers")):
            assert asked(conn, field) == 200, field


def test_access_is_not_decided_without_the_field(httpd):
    with httpd.h3() as conn:
        assert asked(conn, ("authorization", BASIC), path="/private/") == 200
        assert asked(conn, ("authorization", BASIC + " "), path="/private/") == 400
        assert asked(conn, path="/private/") == 401


@pytest.mark.parametrize("field", [("if-match", '"stale" '), ("if-unmodified-since",
                                                             "Sat, 01 Jan 2000 00:00:00 GMT ")])
def test_a_file_is_not_overwritten_without_the_condition(httpd, field):
    target = httpd.path("dav", "kept.txt")
    with open(target, "w") as out:
        out.write("kept")
    os.chmod(target, 0o666)
    for blank, status in (("", 412), (" ", 400)):
        with httpd.h3() as conn:
            head = conn.head("PUT", "/dav/kept.txt") + [(field[0], field[1].rstrip() + blank)]
            assert conn.request(head=head, body=b"lost").status == status
    with open(target) as kept:
        assert kept.read() == "kept"


@pytest.mark.sanitize
def test_dropped_fields_count(make_httpd):
    httpd = make_httpd()
    httpd.add("LimitRequestFields 20").vhost("h3.test", "LimitRequestFields 20").start()
    bad = ("x-a", "v ")
    with httpd.h3() as conn:
        assert asked(conn, *[bad] * 15) == 400
        assert asked(conn, *[bad] * 25) == 431
        assert asked(conn, *[("x-b", "v")] * 15 + [bad] * 6) == 431
    # No longer worth an answer.
    with httpd.h3() as conn, pytest.raises(ConnectionEnded) as ended:
        asked(conn, *[bad] * 500)
    assert NAMES[ended.value.code] == "H3_EXCESSIVE_LOAD"


# -- names and values of any length

def literal(name, value, huffman=False):
    """A literal with a literal name; strings of zeros stand for Huffman codes ('0' has 5 bits)."""
    def string(first, bits, data):
        mask, length = (1 << bits) - 1, len(data)
        out = bytes([first | min(length, mask)])
        if length >= mask:
            length -= mask
            while length >= 128:
                out += bytes([0x80 | length & 0x7f])
                length >>= 7
            out += bytes([length])
        return out + data
    return string(0x28 if huffman else 0x20, 3, name) + string(0, 7, value)


def section_of(conn, stream, *lines):
    return conn.encode(stream.id, conn.head(path="/small.txt")) + b"".join(lines)


@pytest.mark.sanitize
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name, value, huffman, status", [
    (b"n" * 256, b"v", False, 200),
    (b"n" * 257, b"v", False, 431),
    (b"n" * 5000, b"v", False, 431),
    (b"\x00" * 160, b"v", True, 200),           # 256 times '0'
    (b"\x00" * 161, b"v", True, 431),
    (b"n", b"v" * 8000, False, 200),
    (b"n", b"v" * 9000, False, 431),
    (b"n", b"v" * 65536, False, 431),
    (b"n", b"v" * 65537, False, 431),
    (b"n", b"v" * 300000, False, 431),
], ids=["256", "257", "5000", "huffman-256", "huffman-257", "value-8000", "value-9000",
        "value-65536", "value-65537", "value-300000"])
def test_length_of_a_field(httpd, name, value, huffman, status, cut):
    """Each has its answer, the connection goes on; wherever the head is cut."""
    with httpd.h3() as conn:
        stream = conn.open_stream()
        bytes_ = frame(HEADERS, section_of(conn, stream, literal(name, value, huffman)))
        if cut:
            for i in range(0, 60):
                stream.raw(bytes_[i:i + 1])
            bytes_ = bytes_[60:]
        stream.raw(bytes_, end=True)
        assert stream.finish().status == status
        assert asked(conn) == 200


def test_a_refused_head_has_its_log_line(httpd):
    with httpd.h3() as conn:
        stream = conn.open("GET", "/refused?for-its-length", [("n" * 300, "v")])
        assert stream.finish().status == 431
    until(lambda: any("GET /refused?for-its-length HTTP/3.0\" 431" in line
                      for line in httpd.access().splitlines()), 10, "it is logged")


@pytest.mark.sanitize
def test_a_long_name_in_trailers(httpd):
    """The request comes to nothing, the connection goes on."""
    with httpd.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/sha256.cgi", end_stream=False)
        stream.send(b"x" * 1000)
        stream.raw(frame(HEADERS, b"\0\0" + literal(b"n" * 300, b"v")), end=True)
        with pytest.raises(StreamEnded) as ended:
            stream.finish()
        assert NAMES[ended.value.code] == "H3_EXCESSIVE_LOAD"
        assert asked(conn) == 200
    httpd.wait_gauges(Requests=0, Streams=0)


# -- the end comes later than the head

def late(httpd, method, path, data=b"", fields=()):
    """A request whose FIN leaves when the server has seen its head."""
    with httpd.h3() as conn:
        stream = conn.open(method, path, fields, end_stream=False)
        conn.wait(lambda: stream.done or httpd.gauge("Streams") > 0)
        stream.raw(frame(DATA, data) if data else b"", end=True)
        return stream.finish()


def cgi_env(response):
    assert response.status == 200, response
    return dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)


@pytest.mark.sanitize
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_without_a_body_whenever_the_end_comes(httpd, method):
    """As over HTTP/1.1: a body of unknown length has not begun."""
    want = {k: v for k, v in cgi_env(httpd.fetch("1.1", "/cgi-bin/env.cgi", method)).items()
            if "LENGTH" in k or "ENCODING" in k}
    for fields in ((), [("content-length", "0")]):
        env = cgi_env(late(httpd, method, "/cgi-bin/env.cgi", fields=fields))
        got = {k: v for k, v in env.items() if "LENGTH" in k or "ENCODING" in k}
        assert got == (want if not fields else dict(want, CONTENT_LENGTH="0"))


@pytest.mark.parametrize("method", ["HEAD", "TRACE"])
def test_other_methods_without_a_body(httpd, method):
    assert late(httpd, method, "/small.txt").status == 200
    assert httpd.fetch("1.1", "/small.txt", method).status == 200


def test_a_backend_hears_of_no_body(httpd, backend):
    for method in ("GET", "DELETE", "OPTIONS"):
        late(httpd, method, "/backend/late-" + method)
        seen = until(lambda: [s for s in backend.seen if s.path == "/late-" + method], 10,
                     "the backend is asked")[0]
        assert seen.get("transfer-encoding") is None and seen.get("content-length") is None


@pytest.mark.sanitize
def test_a_get_with_a_body(httpd):
    """Rare, and no reason to lose it."""
    answer = late(httpd, "GET", "/cgi-bin/echo.cgi", b"a body after all")
    assert answer.body == b"a body after all"
    want = httpd.fetch("1.1", "/cgi-bin/echo.cgi", "GET", body=iter([b"a body after all"]))
    assert answer.body == want.body


@pytest.mark.sanitize
def test_a_request_that_waits_for_its_end_is_reset(httpd):
    with httpd.h3() as conn:
        stream = conn.open("GET", "/small.txt", end_stream=False)
        conn.wait(lambda: httpd.gauge("Streams") > 0)
        stream.reset()
        conn.wait(lambda: httpd.gauge("Streams") == 0)
        assert stream.done and httpd.gauge("Requests") == 0
        assert asked(conn) == 200


@pytest.mark.slow
def test_a_get_that_never_ends(httpd):
    """It is served after all, as over HTTP/2."""
    with httpd.h3() as conn:
        stream = conn.open("GET", "/small.txt", end_stream=False)
        assert stream.wait_head(timeout=20).status == 200
        conn.wait(lambda: stream.done, 20)
        assert stream.response.body == content.SMALL


# -- work

def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as stat:
        parts = stat.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.parametrize("names", ["different", "one", "cookies"])
def test_very_many_fields_where_all_are_allowed(make_httpd, names):
    """Each costs the same, however many came before it."""
    httpd = make_httpd()
    unlimited = "LimitRequestFields 0\nLimitRequestFieldSize 10000000"
    # The client's library encodes so many names for a long time, and says nothing meanwhile.
    httpd.add(unlimited + "\nH3IdleTimeout 300").vhost("h3.test", unlimited).start()
    fields = {"different": [("x-%05d" % i, "v") for i in range(100000)],
              "one": [("x-a", "v")] * 50000,
              "cookies": [("cookie", "a=b")] * 50000}[names]
    child = httpd.child()
    with httpd.h3(timeout=60, idle_timeout=300) as conn:
        before = cpu_seconds(child)
        assert conn.request(head=conn.head(path="/small.txt") + fields, timeout=100).status == 200
        assert cpu_seconds(child) - before < 4
    assert procs.is_alive(child)
