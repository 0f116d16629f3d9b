# SPDX-License-Identifier: Apache-2.0
"""Frame mode: which HTTP/2 connections get an ALTSVC frame, what is in it, and that a connection
has the frame or the header, never both (RFC 7838 section 4)."""
import json
import re
import socket
import ssl

import hpack
import pytest

from h3test import tools
from h3test.h1 import open_socket
from h3test.wait import until

SELF = 'h3=":8443"; ma=600'
OTHER = 'h3="alt.h3.test:9443"; ma=60; persist=1'
BODY = "    AltSvc h3=\":8443\"\n    AltSvcMaxAge 600\n    AltSvcMode frame\n"

NODE = """
const http2 = require('http2'), fs = require('fs'), o = JSON.parse(process.argv[1]);
const frames = [], fields = [], statuses = [];
const session = http2.connect('https://' + (o.name || '127.0.0.1') + ':' + o.port, {
    ca: fs.readFileSync(o.ca), servername: o.name, checkServerIdentity: () => undefined,
    lookup: (name, options, done) => options.all ? done(null, [{address: '127.0.0.1', family: 4}])
                                                 : done(null, '127.0.0.1', 4)});
session.on('altsvc', (alt, origin, stream) => frames.push([alt, origin, stream]));
session.on('error', error => { console.error(error); process.exit(1); });
let open = o.paths.length;
for (const path of o.paths) {
    const request = session.request({':path': path});
    request.on('response', head => {
        statuses.push(head[':status']);
        if (head['alt-svc'] !== undefined) fields.push(head['alt-svc']);
    });
    request.on('error', error => { console.error(error); process.exit(1); });
    request.on('end', () => { if (--open == 0) session.close(() =>
        console.log(JSON.stringify({frames, fields, statuses}))); });
    request.resume();
    request.end();
}
"""


def node(httpd, name, paths=("/small.txt",)):
    """What node's HTTP/2 client sees on one connection: (frames, header fields, statuses)."""
    options = dict(name=name, port=httpd.port, ca=httpd.ca.file, paths=list(paths))
    _, output = tools.run(tools.need("node"), "--no-warnings", "-e", NODE, json.dumps(options))
    seen = json.loads(output)
    return [tuple(f) for f in seen["frames"]], seen["fields"], seen["statuses"]


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(altsvc=True)
    httpd.plain_port = httpd.new_port()
    httpd.add("H2Direct on\nListen 127.0.0.1:%d" % httpd.plain_port)
    httpd.vhost("h3.test", BODY, aliases=("alias.h3.test", "localhost"))
    httpd.vhost("two.h3.test", "    AltSvc h3=\"alt.h3.test:9443\";ma=60;persist=1\n"
                               "    AltSvcMode frame\n")
    httpd.vhost("header.h3.test", "    AltSvc h3=\":8443\"\n    AltSvcMaxAge 600\n"
                                  "    AltSvcMode header\n")
    httpd.vhost("clear.h3.test", "    AltSvc clear\n    AltSvcMode frame\n")
    httpd.vhost("off.h3.test", "    AltSvc off\n    AltSvcMode frame\n")
    httpd.vhost("silent.h3.test", "    AltSvcMode frame\n")
    httpd.vhost("family.h3.test", BODY +
                "    AltSvcOrigins two.h3.test family.h3.test elsewhere.test"
                " off.h3.test Clear.h3.TEST nobody.h3.test:444\n")
    httpd.vhost("mapped.h3.test:443", BODY)
    httpd.vhost("uncovered.test", BODY)
    httpd.vhost("wild.h3.test", BODY, aliases=("*.h3.test",))
    httpd.vhost("plain.h3.test", BODY + "    Protocols h2c http/1.1\n", tls=False,
                port=httpd.plain_port)
    return httpd.start()


def origin(httpd, name):
    return "https://%s:%d" % (name, httpd.port)


def frames_and_fields(httpd, name, path="/small.txt", **options):
    """What our own client sees of one connection with two requests."""
    with httpd.h2(sni=name, **options) as conn:
        responses = [conn.request("GET", path), conn.request("GET", "/nothing-here")]
    assert [r.status for r in responses] == [200, 404]
    return conn.altsvc, [v for r in responses for v in r.get_all("alt-svc")]


@pytest.mark.sanitize
@pytest.mark.parametrize("name, value", [
    ("h3.test", SELF), ("alias.h3.test", SELF), ("localhost", SELF), ("any.h3.test", SELF),
    ("two.h3.test", OTHER), ("clear.h3.test", "clear")])
def test_one_frame_and_no_header(httpd, name, value):
    assert frames_and_fields(httpd, name) == ([(origin(httpd, name), value)], [])
    assert node(httpd, name) == ([(value, origin(httpd, name), 0)], [], [200])


@pytest.mark.sanitize
def test_a_client_that_refuses_the_certificate(httpd):
    """Its alert comes after ALPN: mod_http2 writes its SETTINGS where TLS is gone already."""
    child = httpd.child()
    for _ in range(20):
        context = ssl.create_default_context()      # knows nothing of our CA
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", httpd.port)) as sock:
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(sock, server_hostname="h3.test")
    assert frames_and_fields(httpd, "h3.test") == ([(origin(httpd, "h3.test"), SELF)], [])
    assert httpd.child() == child


def test_nghttp(httpd):
    _, output = tools.run(tools.need("nghttp"), "-nv",
                          "https://localhost:%d/small.txt" % httpd.port)
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert re.search(r"recv SETTINGS frame <.*>\s(?:.*\s)*?.*recv ALTSVC frame <.*stream_id=0>\s+"
                     r"\(origin=\[%s\], altsvc_field_value=\[%s\]\)" % (
                         re.escape(origin(httpd, "localhost")), re.escape(SELF)), output), output
    assert output.count("recv ALTSVC") == 1
    assert "alt-svc:" not in output


def test_the_name_as_the_client_wrote_it_but_in_small_letters(httpd):
    assert frames_and_fields(httpd, "ALIAS.h3.TEST") == (
        [(origin(httpd, "alias.h3.test"), SELF)], [])


def test_the_port_that_clients_call(httpd):
    """A port in ServerName is the one outside; 443 is not written (RFC 6454 section 6.2)."""
    assert frames_and_fields(httpd, "mapped.h3.test") == ([("https://mapped.h3.test", SELF)], [])


@pytest.mark.sanitize
def test_siblings(httpd):
    """Each with what its own virtual host says; none that is off or that no certificate covers."""
    frames, fields = frames_and_fields(httpd, "family.h3.test")
    assert fields == []
    assert frames == [(origin(httpd, "family.h3.test"), SELF),
                      (origin(httpd, "two.h3.test"), OTHER),
                      (origin(httpd, "clear.h3.test"), "clear"),
                      ("https://nobody.h3.test:444", SELF)]
    assert {f[:2] for f in node(httpd, "family.h3.test")[0]} == {(v, o) for o, v in frames}


def test_a_siblings_port_of_this_server(make_httpd):
    """With `auto` it is the UDP port beside that port, not the one beside the connection's."""
    httpd = make_httpd(altsvc=True)
    other = httpd.new_port()
    httpd.add("AltSvc auto\nListen %d" % other)
    httpd.vhost("h3.test", "AltSvcMode frame\nAltSvcOrigins img.h3.test:%d img.h3.test:1" % other)
    httpd.vhost("img.h3.test", port=other)
    httpd.start()
    until(lambda: httpd.fetch("1.1", "/small.txt").get_all("alt-svc"), 20, "HTTP/3 is advertised")
    own = 'h3=":%d"; ma=86400' % httpd.port
    assert frames_and_fields(httpd, "h3.test") == ([
        (origin(httpd, "h3.test"), own),
        ("https://img.h3.test:%d" % other, 'h3=":%d"; ma=86400' % other),
        ("https://img.h3.test:1", own)], [])
    assert httpd.fetch("3", "/small.txt", sni="img.h3.test", port=other).status == 200


def test_without_sni_the_header(httpd):
    assert frames_and_fields(httpd, None) == ([], [SELF, SELF])
    frames, fields, _ = node(httpd, "")
    assert (frames, fields) == ([], [SELF])


def test_a_name_that_the_certificate_does_not_cover(httpd):
    assert frames_and_fields(httpd, "uncovered.test") == ([], [SELF, SELF])


def test_the_log_says_why_there_is_no_frame(make_httpd):
    httpd = make_httpd(altsvc=True, protocols="h2 http/1.1")
    httpd.vhost("h3.test", BODY)
    httpd.vhost("auto.h3.test", "AltSvc auto\nAltSvcMode frame\n")
    httpd.start()
    for name, field, why in ((None, SELF, "the client named no server (SNI)"),
                             ("else.test", SELF, "the certificate does not cover the server name"),
                             ("auto.h3.test", None, "there is nothing to advertise at the moment")):
        assert frames_and_fields(httpd, name) == ([], [field, field] if field else [])
        assert httpd.log().count("no ALTSVC frame: ") == 1
        assert httpd.log().count("no ALTSVC frame: " + why) == 1
        open(httpd.error_log, "w").close()


def test_a_name_with_no_virtual_host_of_its_own(make_httpd):
    """It is the first virtual host that answers, and the certificate decides."""
    httpd = make_httpd(altsvc=True)
    httpd.vhost("first.h3.test", BODY)
    httpd.vhost("second.h3.test", "    AltSvc off\n")
    httpd.start()
    assert frames_and_fields(httpd, "third.h3.test") == (
        [(origin(httpd, "third.h3.test"), SELF)], [])
    assert frames_and_fields(httpd, "third.elsewhere.test") == ([], [SELF, SELF])


@pytest.mark.parametrize("name", ("off.h3.test", "silent.h3.test"))
def test_nothing_to_say(httpd, name):
    assert frames_and_fields(httpd, name) == ([], [])


def test_header_mode_has_no_frame(httpd):
    assert frames_and_fields(httpd, "header.h3.test") == ([], [SELF, SELF])


@pytest.mark.parametrize("version", ("1.1", "3"))
def test_other_protocols_get_the_header(httpd, version):
    for name, value in (("h3.test", SELF), ("two.h3.test", OTHER), ("clear.h3.test", "clear")):
        assert httpd.fetch(version, "/small.txt", sni=name).get_all("alt-svc") == [value]


def test_never_both_on_one_connection(httpd):
    """A connection with the frame has no header, whosever the request is; one without has it."""
    with httpd.h2(sni="h3.test") as conn:
        for name in ("h3.test", "header.h3.test", "two.h3.test", "off.h3.test"):
            response = conn.request("GET", "/small.txt", authority=name)
            assert (response.status, response.get_all("alt-svc")) == (200, []), name
        assert conn.altsvc == [(origin(httpd, "h3.test"), SELF)]
    with httpd.h2(sni="header.h3.test") as conn:
        for name, fields in (("header.h3.test", [SELF]), ("h3.test", [SELF]),
                             ("two.h3.test", [OTHER]), ("off.h3.test", [])):
            response = conn.request("GET", "/small.txt", authority=name)
            assert (response.status, response.get_all("alt-svc")) == (200, fields), name
        assert conn.altsvc == []


def read_frames(sock, until_type):
    """The types of the frames up to the first of `until_type` that answers something."""
    data, kinds = b"", []
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            more = sock.recv(65536)
            assert more, kinds
            data += more
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        kinds.append(kind)
        data = data[9 + length:]
        if kind == until_type and flags & 1:
            return kinds


SETTINGS, PING, ALTSVC = 4, 6, 10
OPENING = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
           + b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678")


def test_the_frame_comes_second(httpd):
    """Right after the server's SETTINGS, and only there."""
    with open_socket("127.0.0.1", httpd.port, httpd.ca.file, sni="h3.test", alpn=["h2"]) as sock:
        sock.sendall(OPENING)
        kinds = read_frames(sock, PING)
    assert kinds[:2] == [SETTINGS, ALTSVC]
    assert kinds.count(ALTSVC) == 1


def test_http2_without_alpn_gets_the_header(httpd):
    """Prior knowledge: the connection is an HTTP/1.1 one until its first octets are read."""
    with open_socket("127.0.0.1", httpd.port, httpd.ca.file, sni="h3.test") as sock:
        assert sock.selected_alpn_protocol() is None
        # HEADERS: GET, https, /small.txt, h3.test, as literals without a name from the table
        block = b"\x82\x87" + b"\x04\x0a/small.txt" + b"\x01\x07h3.test"
        head = len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01"
        sock.sendall(OPENING + head + block)
        data = b""
        while b"a small file" not in data:
            data += sock.recv(65536)
    kinds, fields = [], b""
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        kinds.append(data[3])
        if data[3] == 1:
            fields += data[9:9 + length]
        data = data[9 + length:]
    head = dict(hpack.Decoder().decode(fields))
    assert ALTSVC not in kinds
    assert head["alt-svc"] == SELF


def test_clear_text_http2_gets_nothing(httpd):
    _, output = tools.run(tools.need("nghttp"), "-nv", "-H", ":authority: plain.h3.test",
                          "http://127.0.0.1:%d/small.txt" % httpd.plain_port)
    assert ":status: 200" in re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert "ALTSVC" not in output and "alt-svc" not in output


def test_many_requests_of_all_kinds_in_nodes_client(httpd):
    paths = ["/small.txt", "/large.bin", "/nothing-here", "/dir", "/cgi-bin/env.cgi"] * 15
    frames, fields, statuses = node(httpd, "h3.test", paths)
    assert frames == [(SELF, origin(httpd, "h3.test"), 0)]
    assert fields == []
    assert sorted(statuses) == [200] * 45 + [301] * 15 + [404] * 15


def test_a_new_value_after_a_graceful_restart(make_httpd):
    httpd = make_httpd(altsvc=True)
    httpd.vhost("h3.test", "    AltSvcMode frame\n    Include %s\n" % httpd.path("conf", "value"))
    with open(httpd.path("conf", "value"), "w") as file:
        file.write('AltSvc h3=":1"\n')
    httpd.start()
    assert frames_and_fields(httpd, "h3.test")[0][0][1] == 'h3=":1"; ma=86400'
    with open(httpd.path("conf", "value"), "w") as file:
        file.write("AltSvc clear\n")
    httpd.graceful()
    assert frames_and_fields(httpd, "h3.test") == ([(origin(httpd, "h3.test"), "clear")], [])


@pytest.mark.slow
def test_no_protocol_error_in_20000_requests_with_40_kb_of_fields(make_httpd):
    """Heads this large go out as HEADERS and CONTINUATION, between which nothing may come. One
    child with a thread for each connection, so that none waits for its turn until a timeout."""
    httpd = make_httpd(altsvc=True, mpm_text="StartServers 1\nServerLimit 1\nThreadLimit 64\n"
                       "ThreadsPerChild 64\nMaxRequestWorkers 64\n")
    httpd.vhost("h3.test", BODY + "".join(
        "    Header set X-Large-%d %s\n" % (i, chr(ord("a") + i) * 8000) for i in range(5)))
    httpd.start()
    _, output = tools.run(
        tools.need("h2load"), "-n", "20000", "-c", "40", "-m", "50",
        "--connect-to=127.0.0.1:%d" % httpd.port, "https://h3.test:%d/empty.txt" % httpd.port,
        timeout=300)
    assert re.search(r"requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, "
                     r"0 failed, 0 errored, 0 timeout", output), output
    assert httpd.log().count("ALTSVC frame: %s" % origin(httpd, "h3.test")) == 40


@pytest.mark.parametrize("order", ("before", "after"))
@pytest.mark.parametrize("mpm", ("event", "worker"))
def test_load_order_and_mpm(make_httpd, mpm, order):
    httpd = make_httpd(altsvc=True, mpm=mpm, order=order)
    httpd.vhost("h3.test", BODY)
    httpd.start()
    assert frames_and_fields(httpd, "h3.test") == ([(origin(httpd, "h3.test"), SELF)], [])
    assert httpd.fetch("1.1", "/small.txt").get_all("alt-svc") == [SELF]


@pytest.mark.parametrize("order", ("before", "after"))
def test_prefork_without_mod_http3_and_mod_http2(make_httpd, order):
    """Values by hand need neither; there is no HTTP/2 for a frame then."""
    httpd = make_httpd(altsvc=True, http3=False, mpm="prefork", order=order, without=("http2",),
                       protocols="http/1.1")
    httpd.vhost("h3.test", BODY)
    code, output = httpd.configtest()
    assert code == 0
    assert "AltSvcMode frame: mod_http2 is not loaded, so the header is all there is" in output
    httpd.start()
    assert httpd.fetch("1.1", "/small.txt").get_all("alt-svc") == [SELF]
    assert httpd.fetch("1.1", "/nothing-here").get_all("alt-svc") == [SELF]


def test_without_mod_ssl_nothing_is_sent(make_httpd):
    httpd = make_httpd(altsvc=True, http3=False, ssl=False, protocols="h2c http/1.1")
    httpd.vhost("h3.test", BODY, tls=False, address="127.0.0.1")
    httpd.start()
    assert httpd.fetch("1.1", "/small.txt", tls=False).get_all("alt-svc") == []
