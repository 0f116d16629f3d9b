# SPDX-License-Identifier: Apache-2.0
"""The topics of mod_http2's own tests, over HTTP/1.1, HTTP/2 and HTTP/3: lengths of responses,
fields that nobody may send, interim responses, proxies to all kinds of servers, rewriting, times.

Not here, because HTTP/3 has not got it or another file has: Upgrade, padding and frame lengths,
push, WebSocket, renegotiation, trailers, connections of several hosts (test_03), limits (test_04),
restarts (test_22)."""
import queue
import threading
import time

import pytest

from h3test import content
from h3test.listener import Listener
from h3test.load import load
from h3test.response import ConnectionEnded, StreamEnded
from h3test.stepwise import Exchange
from h3test.wait import bound

VERSIONS = ("1.1", "2", "3")
# Under the sanitizers only what runs the code that they look at.
CHECKED = ("1.1", "2", pytest.param("3", marks=pytest.mark.sanitize))
MULTIPLEXED = ("2", "3")
WAYS = ("", "/proxy", "/h2proxy")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CGI = {
    "bytes.cgi": "echo 'Content-Type: text/plain'; echo; exec head -c $QUERY_STRING /dev/zero\n",
    # The query is the character, in octal.
    "name.cgi": "printf 'Content-Type: text/plain\\nX-A\\'$QUERY_STRING'b: c\\n\\nbody\\n'\n",
    "value.cgi": "printf 'Content-Type: text/plain\\nX-Ab: c\\'$QUERY_STRING'd\\n\\nbody\\n'\n",
}


class Server(Listener):
    """Answers each connection by a function of its own: script(socket, server)."""

    def __init__(self):
        self.script = None
        self.seen = queue.Queue()   # what a script tells its test
        self._gates = {}
        super().__init__(self._play)

    def gate(self, name):
        return self._gates.setdefault(name, threading.Event())

    def play(self, script):
        self.script, self.seen, self._gates = script, queue.Queue(), {}

    def _play(self, sock):
        sock.settimeout(bound(20))
        try:
            self.script(sock, self)
        except OSError as exc:
            self.seen.put(repr(exc))


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    return data


def wait_gone(sock):
    """Until the other side has closed."""
    while sock.recv(65536):
        pass


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def httpd(make_httpd, server):
    httpd = make_httpd(modules=["proxy_http2", "proxy_balancer", "lbmethod_byrequests",
                                "slotmem_shm", "data"])
    for name, text in CGI.items():
        content.write(httpd.path("cgi-bin", name), "#!/bin/sh\n" + text, 0o755)
    content.write(httpd.path("htdocs", "front", ".htaccess"), """
    RewriteEngine on
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteRule ^(.*)$ /cgi-bin/echo.cgi/$1 [QSA,L]
    """)
    content.write(httpd.path("htdocs", "front", "there.txt"), "there\n")
    body = """
    Header always set X-Blanks "  in the middle  "
    SetEnvIf X-Ask (.+) ask=$1
    Header set X-Answer "%{ask}e" env=ask
    Header set X-Host "expr=%{HTTP_HOST}"
    """
    httpd.vhost(tls=False, address="127.0.0.1", body=body)
    httpd.vhost(body=body + """
    H2EarlyHints on
    SSLProxyEngine on
    SSLProxyCACertificateFile {ca}
    SSLProxyCheckPeerName off
    ProxyTimeout 10
    # Not kept: httpd closes an idle one when it likes, and a POST is not repeated.
    ProxyPass /proxy/ http://127.0.0.1:{clear}/ disablereuse=on
    ProxyPassReverse /proxy/ http://127.0.0.1:{clear}/
    ProxyPass /h2proxy/ h2://127.0.0.1:{port}/
    ProxyPass /raw/ http://127.0.0.1:{raw}/raw/ disablereuse=on
    ProxyPass /impatient/ http://127.0.0.1:{raw}/impatient/ timeout=1 disablereuse=on
    ProxyPass /balanced/ balancer://two/
    <Proxy balancer://two>
        BalancerMember http://127.0.0.1:1 retry=0
        BalancerMember http://127.0.0.1:{clear} retry=0
    </Proxy>
    <Location /own-errors/>
        ProxyPass http://127.0.0.1:{clear}/
        ProxyErrorOverride On
        ErrorDocument 404 /missing.html
    </Location>
    <Location /kept-host/>
        ProxyPass http://127.0.0.1:{clear}/
        ProxyPreserveHost On
    </Location>
    RewriteEngine on
    RewriteRule ^/by-rule/(.*) http://127.0.0.1:{clear}/$1 [P]
    RewriteRule ^/gone/ - [G]
    RewriteRule ^/no/ - [F]
    RewriteRule ^/see/(.*) /$1?seen=1 [R=307,QSA]
    """.format(ca=httpd.ca.file, clear=httpd.clear_port, port=httpd.port, raw=server.port))
    return httpd.start()


# ---- responses

@pytest.mark.parametrize("version", VERSIONS)
def test_lengths_of_a_script(httpd, version):
    sizes = [0, 1, 1291, 1292, 16383, 16384, 16385, 80000, 80123, 81087, 98452]
    sizes += [1001 << i for i in range(1, 11)]
    with httpd.client(version) as conn:
        for size in sizes:
            answer = conn.request("GET", "/cgi-bin/bytes.cgi?%d" % size)
            assert (answer.status, len(answer.body)) == (200, size)
            assert answer.get("date") and answer.get("server")


@pytest.mark.sanitize
@pytest.mark.parametrize("place, allowed", [("name", {13}), ("value", {9, 13})])
def test_characters_in_a_field_of_a_script(httpd, place, allowed):
    """500 for every control character that no field may have, CR ends a line and a tab is a blank.
    (Over HTTP/1.1 httpd gives the page or none by chance, over HTTP/2 it resets the stream.)"""
    with httpd.client("3") as conn:
        for number in [*range(1, 32), 127]:
            answer = conn.request("GET", "/cgi-bin/%s.cgi?%03o" % (place, number))
            assert answer.status == (200 if number in allowed else 500), number
            assert answer.status == 500 or answer.body == b"body\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_that_are_set(httpd, version):
    """Blanks at the ends are no part of a value (RFC 9110 section 5.5)."""
    answer = httpd.fetch(version, "/small.txt", fields=[("X-Ask", "this")])
    assert answer.get("x-blanks") == "in the middle"
    assert (answer.get("x-answer"), answer.get("x-host")) == ("this", "h3.test")
    assert httpd.fetch(version, "/small.txt").get("x-answer") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_interim_responses_of_a_backend(httpd, server, version):
    """103 (RFC 8297) goes to the client before the rest is there, with its fields."""
    def script(sock, server):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        server.gate("hints").wait(bound(10))
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </more.css>; rel=preload\r\n\r\n")
        sock.sendall(HEAD + b"Content-Length: 4\r\n\r\nbody")
        wait_gone(sock)

    server.play(script)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/raw/hints")
        exchange.see(lambda response: response.interim)
        assert exchange.response.status is None
        server.gate("hints").set()
        answer = exchange.finish()
        assert (answer.status, answer.body) == (200, b"body")
        assert [(status, dict(fields).get("link")) for status, fields in answer.interim] == [
            (103, "</style.css>; rel=preload"), (103, "</more.css>; rel=preload")]


# ---- proxies

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
def test_conditions_and_ranges(httpd, version, way):
    with httpd.client(version) as conn:
        answer = conn.request("GET", way + "/large.bin")
        assert (answer.status, answer.body) == (200, content.LARGE)
        etag, date = answer.get("etag"), answer.get("last-modified")
        for fields, status, body in (
                ([("If-None-Match", etag)], 304, b""),
                ([("If-Modified-Since", date)], 304, b""),
                ([("Range", "bytes=0-1023")], 206, content.LARGE[:1024]),
                ([("Range", "bytes=-10"), ("If-Range", etag)], 206, content.LARGE[-10:]),
                ([("Range", "bytes=0-9"), ("If-Range", '"x"')], 200, content.LARGE)):
            answer = conn.request("GET", way + "/large.bin", fields)
            assert (answer.status, answer.body) == (status, body), fields
        answer = conn.request("HEAD", way + "/large.bin")
        assert (answer.get("content-length"), answer.body) == (str(len(content.LARGE)), b"")
        assert conn.request("GET", way + "/nowhere").status == 404


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length_known", [True, False])
def test_uploads(httpd, version, way, length_known):
    """Of the sizes at which something changes, all of them on one connection."""
    with httpd.client(version) as conn:
        for size in (0, 1, 1024, 10240, 65536, 150000):
            data = content.pseudo_random(size)
            pieces = [data[i:i + 8000] for i in range(0, size, 8000)]
            answer = conn.request("POST", way + "/cgi-bin/echo.cgi",
                                  body=data if length_known else pieces)
            assert (answer.status, answer.body) == (200, data)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_backend_sees(httpd, version):
    """A request of HTTP/1.1 or HTTP/2, in clear text or not, whatever the client spoke."""
    def environment(path):
        text = httpd.fetch(version, path).text
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    env = environment("/proxy/cgi-bin/env.cgi")
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTPS" not in env and "HTTP3" not in env
    assert env["HTTP_X_FORWARDED_HOST"] == "h3.test"
    assert env["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    env = environment("/h2proxy/cgi-bin/env.cgi")
    assert env["SERVER_PROTOCOL"] == "HTTP/2.0" and env["HTTPS"] == "on" and "HTTP3" not in env
    assert httpd.fetch(version, "/proxy/small.txt").get("x-host") == "h3.test"
    env = environment("/kept-host/cgi-bin/env.cgi")
    assert env["HTTP_HOST"] == "h3.test"


@pytest.mark.parametrize("version", VERSIONS)
def test_errors_of_a_backend(httpd, version):
    assert b"the page for what is missing" in httpd.fetch(version, "/own-errors/nowhere").body
    assert b"the page for" not in httpd.fetch(version, "/proxy/nowhere").body
    with httpd.client(version) as conn:
        for _ in range(4):
            # One of the two members is never there.
            assert conn.request("GET", "/balanced/small.txt").body == content.SMALL


ODD = {
    "nothing": (b"", 502, None),
    "half a line": (b"HTTP/1.1", 502, None),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502, None),
    "HTTP/0.9": (b"garbage\r\n\r\n", 200, b"garbage\r\n"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\n\nto the end", 200, b"to the end"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
    "two lengths": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n"
                    b"4\r\nfour\r\n0\r\n\r\n", 200, b"four"),
    "no body": (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
}


@pytest.mark.parametrize("version", CHECKED)
@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_backends(httpd, server, version, name):
    """(mod_http2 makes a 500 of the two 502 where nothing whole has come.)"""
    said, status, body = ODD[name]

    def script(sock, _):
        read_head(sock)
        sock.sendall(said)

    server.play(script)
    with httpd.client(version) as conn:
        answer = conn.request("GET", "/raw/odd")
        assert answer.status == status or (version == "2" and {answer.status, status} == {500, 502})
        assert body is None or answer.body == body
    assert httpd.fetch(version, "/small.txt").status == 200


@pytest.mark.parametrize("version", CHECKED)
@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_backend_that_ends_in_the_middle(httpd, server, version, framing):
    """Nobody may take what has come for the whole."""
    def script(sock, server):
        read_head(sock)
        chunked = "chunked" in framing
        sock.sendall(HEAD + framing.encode() + b"\r\n\r\n" + (b"2710\r\n" if chunked else b"")
                     + b"x" * 10000 + (b"\r\n" if chunked else b""))
        server.gate("end").wait(bound(10))

    server.play(script)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/raw/cut")
        exchange.see(lambda response: len(response.body) >= 10000)
        server.gate("end").set()
        with pytest.raises((ConnectionEnded, StreamEnded)):
            exchange.finish()
        if version != "1.1":
            assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", VERSIONS)
def test_backend_that_is_slow(httpd, server, version):
    """502 where it says nothing for longer than its timeout."""
    def script(sock, _):
        read_head(sock)
        wait_gone(sock)

    server.play(script)
    with httpd.client(version) as conn:
        assert conn.request("GET", "/impatient/x").status == 502
        assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", CHECKED)
def test_pieces_of_a_backend(httpd, server, version):
    """Events that come one by one, each written when the one before was seen."""
    def script(sock, server):
        read_head(sock)
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            sock.sendall(b"f\r\ndata: event %d\n\n\r\n" % i)
            assert server.gate(i).wait(bound(10))
        sock.sendall(b"0\r\n\r\n")
        wait_gone(sock)

    server.play(script)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/raw/events")
        for i in range(5):
            exchange.see_text(b"data: event %d\n\n" % i)
            server.gate(i).set()
        assert exchange.finish().body.count(b"data:") == 5


@pytest.mark.parametrize("version", MULTIPLEXED)
def test_upload_goes_through_in_pieces(httpd, server, version):
    """The backend sees the first pieces while the client holds the rest back. (Over HTTP/1.1 it
    is mod_proxy's to wait for more.)"""
    def script(sock, server):
        data = read_head(sock)
        while not data.endswith(b"0\r\n\r\n"):
            server.seen.put(data)
            data += sock.recv(65536)
        sock.sendall(HEAD + b"Content-Length: 4\r\n\r\ndone")
        wait_gone(sock)

    server.play(script)
    piece = bytes(range(250)) * 200
    with httpd.client(version) as conn:
        exchange = Exchange(conn, "POST", "/raw/up", has_body=True)
        for count in range(1, 4):
            exchange.send(piece)
            if version == "3":
                conn.pump(0.05)
            while server.seen.get(timeout=bound(10)).count(piece[:250]) < count * 100:
                if version == "3":
                    conn.pump(0.01)
        exchange.send(b"", True)
        assert exchange.finish().body == b"done"


@pytest.mark.parametrize("version", CHECKED)
def test_client_that_leaves_a_stream_of_events(httpd, server, version):
    """The backend's connection ends, too, as soon as it goes on writing."""
    def script(sock, server):
        read_head(sock)
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(1000000):
            sock.sendall(b"3e8\r\n" + b"e" * 1000 + b"\r\n")
            server.gate("left").wait(0 if i < 100 else 0.01)

    server.play(script)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/raw/events")
        exchange.see(lambda response: len(response.body) > 10000)
        exchange.abort()
        end = time.monotonic() + bound(15)
        while server.seen.empty():
            assert time.monotonic() < end, "the backend still writes"
            if version == "3":
                conn.pump(0.05)
            else:
                time.sleep(0.05)
        assert "Error" in server.seen.get()
        if version != "1.1":
            assert conn.request("GET", "/small.txt").body == content.SMALL


# ---- rewriting, timeouts, load

@pytest.mark.parametrize("version", VERSIONS)
def test_rewriting(httpd, version):
    with httpd.client(version) as conn:
        assert conn.request("GET", "/by-rule/small.txt").body == content.SMALL
        assert conn.request("GET", "/gone/x").status == 410
        assert conn.request("GET", "/no/x").status == 403
        answer = conn.request("GET", "/see/small.txt?a=b", [("Host", "h3.test")])
        assert (answer.status, answer.get("location")) == (
            307, "https://h3.test/small.txt?seen=1&a=b")
        assert conn.request("GET", "/front/there.txt").body == b"there\n"
        answer = conn.request("POST", "/front/a/path?q=1", body=b"a body")
        assert (answer.status, answer.body, answer.get("x-method")) == (200, b"a body", "POST")


@pytest.mark.parametrize("version", MULTIPLEXED)
def test_a_connection_outlives_the_times_of_a_request(fresh_httpd, version):
    """RequestReadTimeout bounds handshakes, heads and bodies: not what comes between requests, and
    no response."""
    httpd = fresh_httpd()
    httpd.vhost(body="RequestReadTimeout handshake=1 header=1 body=1\nKeepAliveTimeout 20").start()
    with httpd.client(version) as conn:
        assert conn.request("GET", "/small.txt").status == 200
        time.sleep(1.5)
        assert conn.request("GET", "/cgi-bin/wait.cgi?1.5").body == b"waited\n"
        assert conn.request("POST", "/cgi-bin/echo.cgi", body=b"x").body == b"x"


@pytest.mark.parametrize("path", ["/small.txt", "/cgi-bin/sha256.cgi", "/proxy/cgi-bin/sha256.cgi"])
@pytest.mark.parametrize("size", [0, 1000, 40000])
def test_many_uploads(httpd, path, size):
    report = load(httpd, "-c", 4, "-m", 10, "-n", 120, "--upload-size", size, "--verify", 200,
                  paths=(path,))
    assert report["ok"] == 120
