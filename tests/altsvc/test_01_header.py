# SPDX-License-Identifier: Apache-2.0
"""Header mode: which responses carry one Alt-Svc field, whose it is, and which carry none."""
import contextlib
import os

import pytest

from h3test import content
from h3test.listener import Listener

VERSIONS = ("1.1", "2", "3")
OURS = 'h3=":8443"; ma=600'
ADMIN = 'h2="admin.h3.test:443"; ma=5'
BACKEND = 'h3=":1"; ma=7'
NO_HOST = "h3.test:99999999"    # no port is so high: such a request is refused, and has no host


class RawBackend(Listener):
    """Answers each path with bytes as they are, then closes."""

    ANSWERS = {
        "/own": b"HTTP/1.1 200 OK\r\nAlt-Svc: %s\r\nContent-Length: 3\r\n\r\nown",
        "/own404": b"HTTP/1.1 404 Not Found\r\nAlt-Svc: %s\r\nContent-Length: 2\r\n\r\nno",
        "/own421": b"HTTP/1.1 421 Misdirected\r\nAlt-Svc: %s\r\nContent-Length: 2\r\n\r\nno",
        "/early": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nalt-svc: %s\r\n\r\n"
                  b"HTTP/1.1 200 OK\r\nAlt-Svc: %s\r\nContent-Length: 5\r\n\r\nearly",
        "/malformed": b"HTTP/1.1 200 OK\r\nthis is no field\r\n\r\n",
        "/two": b"HTTP/1.1 200 OK\r\nAlt-Svc: %s\r\nAlt-Svc: h2=\":2\"\r\n"
                b"Content-Length: 3\r\n\r\ntwo",
        "/trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ntrailer\r\n0\r\n"
                    b"Alt-Svc: %s\r\nX-Other: 1\r\n\r\n",
    }
    ANSWERS["/hushed"] = ANSWERS["/early"]

    def __init__(self):
        super().__init__(self._serve)

    def _serve(self, conn):
        data = b""
        while b"\r\n\r\n" not in data:
            more = conn.recv(65536)
            if not more:
                break
            data += more
        if data:
            path = "/" + data.split(b" ")[1].decode().rpartition("/")[2]
            conn.sendall(self.ANSWERS[path].replace(b"%s", BACKEND.encode()))


@pytest.fixture(scope="module")
def raw_backend():
    backend = RawBackend()
    yield backend
    backend.stop()


BODY = """
    AltSvc h3=":8443"; AltSvcMaxAge 600
    TraceEnable on
    H2EarlyHints on
    RewriteEngine on
    RewriteRule ^/rewritten/(.*)$ /$1 [PT]
    Redirect permanent /old https://h3.test/new
    Redirect temp /moved https://h3.test/new
    Redirect gone /gone
    ProxyPass /raw/ http://127.0.0.1:{raw}/ disablereuse=on
    ProxyPass /nobody/ http://127.0.0.1:1/
    <Directory {docs}/ssi>
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
    </Directory>
    <Location /forbidden>
        Require all denied
    </Location>
    <Location /set>
        Header set Alt-Svc '{admin}'
    </Location>
    <Location /always>
        Header always set Alt-Svc '{admin}'
    </Location>
    <Location /twice>
        Header always add Alt-Svc '{admin}'
        Header always add Alt-Svc clear
    </Location>
    <Location /raw/hushed>
        AltSvc off
    </Location>
    <Location /unset>
        Header unset Alt-Svc
    </Location>
    <Location /alwaysunset>
        Header always unset Alt-Svc
    </Location>
    <Location /off>
        AltSvc off
    </Location>
""".replace("; AltSvcMaxAge", "\n    AltSvcMaxAge")

ERROR_PAGES = "".join("    ErrorDocument %d /missing.html\n" % code
                      for code in (301, 302, 401, 403, 404, 410, 416))


@pytest.fixture(scope="module")
def httpd(make_httpd, raw_backend):
    httpd = make_httpd(altsvc=True)
    for name in ("set", "always", "twice", ".", "unset", "alwaysunset", "off", "htaccess"):
        content.write(httpd.path("htdocs", name, "file.txt"), "a file\n")
    content.write(httpd.path("htdocs", "htaccess", ".htaccess"), "AltSvc off\n")
    content.write(httpd.path("cgi-bin", "own.cgi"),
                  "#!/bin/sh\necho Status: ${QUERY_STRING:-200}; echo 'Content-Type: text/plain'\n"
                  "echo 'Alt-Svc: %s'; echo; echo own\n" % BACKEND, 0o755)
    body = BODY.format(raw=raw_backend.port, docs=httpd.docs, admin=ADMIN)
    httpd.vhost("h3.test", body)
    httpd.vhost("pages.h3.test", body + ERROR_PAGES)
    httpd.vhost("keep.h3.test", body + "    AltSvcOverride off\n")
    httpd.vhost("off.h3.test", body.replace('h3=":8443"', "off", 1))
    httpd.vhost("silent.h3.test", body.replace('AltSvc h3=":8443"', "", 1))
    httpd.vhost("tcp.h3.test", "    SSLVerifyClient optional\n", protocols="h2 http/1.1",
                pair=httpd.ca.leaf("tcp", names=("tcp.h3.test",)))
    httpd.vhost("always.h3.test", body + ERROR_PAGES + "Header always set Alt-Svc '%s'\n" % ADMIN)
    # mod_status has a virtual host for this address already, and an address wins over "*".
    httpd.vhost("clear.h3.test", body, tls=False, address="127.0.0.1")
    return httpd.start()


def fields_of(response):
    return response.get_all("alt-svc")


# name, request, status; the request's `raw` is for HTTP/1.1 only
ROWS = [
    ("a file", dict(path="/small.txt"), 200),
    ("HEAD", dict(path="/small.txt", method="HEAD"), 200),
    ("206", dict(path="/small.txt", fields=[("Range", "bytes=0-3")]), 206),
    ("206 of several ranges", dict(path="/large.bin", fields=[("Range", "bytes=0-3,9-12")]), 206),
    ("304", dict(path="/small.txt",
                 fields=[("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")]), 304),
    ("416", dict(path="/small.txt", fields=[("Range", "bytes=99999-")]), 416),
    ("a CGI", dict(path="/cgi-bin/env.cgi"), 200),
    ("a CGI's 404", dict(path="/cgi-bin/status.cgi"), 404),
    ("a CGI's Location", dict(path="/cgi-bin/redirect.cgi"), 302),
    ("a CGI with its own field", dict(path="/cgi-bin/own.cgi"), 200),
    ("a CGI's 404 with its own field", dict(path="/cgi-bin/own.cgi?404"), 404),
    ("DirectoryIndex", dict(path="/dir/"), 200),
    ("a listing", dict(path="/list/"), 200),
    ("rewrite PT", dict(path="/rewritten/small.txt"), 200),
    ("SSI", dict(path="/ssi/page.shtml"), 200),
    ("a large file", dict(path="/large.bin"), 200),
    ("301", dict(path="/old"), 301),
    ("302", dict(path="/moved"), 302),
    ("mod_dir's slash", dict(path="/dir"), 301),
    ("401", dict(path="/private/"), 401),
    ("403", dict(path="/forbidden"), 403),
    ("404", dict(path="/nothing-here"), 404),
    ("410", dict(path="/gone"), 410),
    ("OPTIONS /", dict(method="OPTIONS"), 200),
    ("OPTIONS *", dict(method="OPTIONS", path="*"), 200),
    ("TRACE", dict(method="TRACE"), 200),
    ("an unknown method", dict(method="FROB", path="/small.txt"), 501),
    ("a malformed path", dict(path="/%zz"), 400),
    ("414", dict(path="/" + "x" * 8300), 414),
    ("417", dict(path="/small.txt", fields=[("Expect", "the impossible")]), 417),
    ("431", dict(path="/", fields=[("X-Long", "y" * 8300)]), 431),
    ("a proxied 200 with its own field", dict(path="/raw/own"), 200),
    ("a proxied 404 with its own field", dict(path="/raw/own404"), 404),
    ("a proxy's 502", dict(path="/raw/malformed"), 502),
    ("a proxy's 503", dict(path="/nobody/"), 503),
    ("Header set", dict(path="/set/file.txt"), 200),
    ("Header set and an error", dict(path="/set/nope"), 404),
    ("Header unset", dict(path="/unset/file.txt"), 200),
    ("Header unset and an error", dict(path="/unset/nope"), 404),
    ("Header always unset", dict(path="/alwaysunset/file.txt"), 200),
    ("Header always unset and an error", dict(path="/alwaysunset/nope"), 404),
]
# What is a 431 in HTTP/2 is a 400 in HTTP/1.1.
STATUS_IN_1_1 = {"431": 400}
# mod_http2 of httpd 2.4.68 knows no asterisk form; that of 2.4.71 does.
STATUS_IN_OLD_2 = {"OPTIONS *": 400}


def expected_status(name, status, version):
    return {"1.1": [STATUS_IN_1_1.get(name, status)],
            "2": [status, STATUS_IN_OLD_2.get(name, status)],
            "3": [status]}[version]


@pytest.mark.sanitize
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name, request_, status", ROWS, ids=[r[0] for r in ROWS])
def test_one_field_and_it_is_ours(httpd, version, name, request_, status):
    for host in ("h3.test", "pages.h3.test"):
        response = httpd.fetch(version, sni=host, **request_)
        assert response.status in expected_status(name, status, version), host
        assert fields_of(response) == [OURS], host


RAW = [
    ("no HTTP", b"garbage\r\n\r\n", 400),
    ("a bad field", b"GET / HTTP/1.1\r\nHost: h3.test\r\nbad field: x\r\n\r\n", 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: h3.test\r\nHost: off.h3.test\r\n\r\n", 400),
    ("too many fields",
     b"GET / HTTP/1.1\r\nHost: h3.test\r\n" + b"X: y\r\n" * 200 + b"\r\n", 400),
    ("HTTP/1.0", b"GET /small.txt HTTP/1.0\r\nHost: h3.test\r\n\r\n", 200),
    ("a version that nobody has", b"GET / HTTP/1.x\r\nHost: h3.test\r\n\r\n", 400),
    ("both lengths", b"POST / HTTP/1.1\r\nHost: h3.test\r\nContent-Length: 3\r\n"
     b"Transfer-Encoding: frob\r\n\r\n", 400),
]


@pytest.mark.parametrize("name, data, status", RAW, ids=[r[0] for r in RAW])
def test_bytes_that_are_no_request(httpd, name, data, status):
    with httpd.h1() as conn:
        conn.raw(data)
        response = conn.read_response()
    assert response.status == status, response
    assert fields_of(response) == [OURS]


def test_an_early_error_speaks_for_the_name_that_was_called(httpd):
    """Before Host is read httpd has the address's first virtual host; SNI knows better."""
    with httpd.h1(sni="off.h3.test") as conn:
        conn.raw(b"garbage\r\n\r\n")
        response = conn.read_response()
    assert (response.status, fields_of(response)) == (400, [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name, values", [("off.h3.test", []), ("h3.test", [OURS])])
def test_a_name_that_cannot_be_speaks_for_the_name_that_was_called(httpd, version, name, values):
    response = httpd.fetch(version, "/file.txt", authority=NO_HOST, sni=name)
    assert (response.status, fields_of(response)) == (400, values)


@pytest.mark.sanitize
def test_a_broken_record_under_refused_requests(httpd):
    """They run beside the connection, which throws its TLS away: nobody else may look into it."""
    child = httpd.child()
    for _ in range(200):
        with httpd.h2() as conn, contextlib.suppress(OSError):
            for _ in range(50):
                conn.open(authority=NO_HOST)
            os.write(conn.sock.fileno(), b"\x17\x03\x03\x00\x30" + bytes(48))
            while conn.sock.recv(65536):
                """Whatever it says before it goes."""
    assert fields_of(httpd.fetch("2", "/file.txt")) == [OURS]
    assert httpd.child() == child and not httpd.trouble()


@pytest.mark.parametrize("version", VERSIONS)
def test_header_always_set_wins(httpd, version):
    def get(path, host, *fields):
        response = httpd.fetch(version, path, fields=fields, sni=host)
        return response.status, fields_of(response)
    for prefix, host in (("/always", "h3.test"), ("", "always.h3.test")):
        assert get(prefix + "/file.txt", host) == (200, [ADMIN])
        assert get(prefix + "/nope", host) == (404, [ADMIN])
        assert get(prefix + "/file.txt", host, ("Range", "bytes=99999-")) == (416, [ADMIN])
    # The error page lies outside of the Location, and mod_headers goes by where the page lies.
    assert get("/always/nope", "pages.h3.test") == (404, [OURS])


@pytest.mark.parametrize("version", VERSIONS)
def test_header_always_add_is_kept_whole(httpd, version):
    """Several lines are one list (RFC 9110 section 5.3); it goes out as one field."""
    for path, status in (("/twice/file.txt", 200), ("/twice/nope", 404)):
        response = httpd.fetch(version, path)
        assert (response.status, fields_of(response)) == (status, [ADMIN + ",clear"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_backends_trailer(httpd, version):
    """HTTP/2 passes trailers on; the backend's alternatives are not among them."""
    response = httpd.fetch(version, "/raw/trailer")
    assert (response.body, fields_of(response)) == (b"trailer", [OURS])
    assert response.trailers == ([("x-other", "1")] if version == "2" else [])
    response = httpd.fetch(version, "/raw/trailer", sni="keep.h3.test")
    assert dict(response.trailers).get("alt-svc") == (BACKEND if version == "2" else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_override_off_keeps_what_others_say(httpd, version):
    def get(path, **options):
        response = httpd.fetch(version, path, sni="keep.h3.test", **options)
        return response.status, fields_of(response)
    assert get("/raw/own") == (200, [BACKEND])
    assert get("/raw/own404") == (404, [BACKEND])
    assert get("/raw/two") == (200, [BACKEND + ',h2=":2"'])
    assert get("/cgi-bin/own.cgi") == (200, [BACKEND])
    assert get("/set/file.txt") == (200, [ADMIN])
    assert get("/always/file.txt") == (200, [ADMIN])
    assert get("/small.txt") == (200, [OURS])
    assert get("/small.txt", fields=[("Range", "bytes=99999-")]) == (416, [OURS])
    assert get("/nobody/") == (503, [OURS])


@pytest.mark.parametrize("version", VERSIONS)
def test_no_field_in_421(httpd, version):
    with httpd.client(version) as conn:
        response = conn.request("GET", "/", authority="tcp.h3.test")
        assert (response.status, fields_of(response)) == (421, [])
    response = httpd.fetch(version, "/raw/own421")
    assert (response.status, fields_of(response)) == (421, [])


@pytest.mark.parametrize("version", VERSIONS)
def test_no_field_in_interim_responses(httpd, version):
    response = httpd.fetch(version, "/cgi-bin/echo.cgi", "POST",
                           [("Expect", "100-continue")], b"a body")
    assert response.status == 200 and fields_of(response) == [OURS]
    assert [status for status, _ in response.interim] == [100]
    early = httpd.fetch(version, "/raw/early")
    assert early.status == 200 and fields_of(early) == [OURS]
    assert [status for status, _ in early.interim] == [103]
    assert ("link", "</a>; rel=preload") in early.interim[0][1]
    for _, fields in response.interim + early.interim:
        assert "alt-svc" not in dict(fields)


@pytest.mark.parametrize("version", VERSIONS)
def test_interim_responses_one_after_the_other(httpd, version):
    with httpd.client(version) as conn:
        for path, interim in (("/raw/early", [103]), ("/small.txt", []), ("/raw/early", [103]),
                              ("/raw/early", [103]), ("/raw/own", [])):
            response = conn.request("GET", path)
            assert response.status == 200 and fields_of(response) == [OURS]
            assert [status for status, _ in response.interim] == interim
            assert all("alt-svc" not in dict(fields) for _, fields in response.interim)


@pytest.mark.parametrize("version", VERSIONS)
def test_off(httpd, version):
    for path, status in (("/small.txt", 200), ("/nothing-here", 404), ("/raw/own", 200),
                         ("/dir", 301), ("/set/file.txt", 200)):
        response = httpd.fetch(version, path, sni="off.h3.test")
        assert (response.status, fields_of(response)) == (status, []), path


@pytest.mark.parametrize("version", VERSIONS)
def test_off_in_a_directory(httpd, version):
    for host in ("h3.test", "pages.h3.test"):
        for path, status in (("/off/file.txt", 200), ("/off/nope", 404), ("/off", 301),
                             ("/htaccess/file.txt", 200), ("/htaccess/nope", 404)):
            response = httpd.fetch(version, path, sni=host)
            assert (response.status, fields_of(response)) == (status, []), (host, path)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_virtual_host_without_the_directive_is_left_alone(httpd, version):
    for path, fields in (("/small.txt", []), ("/raw/own", [BACKEND]), ("/set/file.txt", [ADMIN])):
        assert fields_of(httpd.fetch(version, path, sni="silent.h3.test")) == fields, path


@pytest.mark.parametrize("version", VERSIONS)
def test_off_in_a_directory_of_such_a_virtual_host(httpd, version):
    """What `off` takes out it takes out there too."""
    response = httpd.fetch(version, "/raw/hushed", sni="silent.h3.test")
    assert (response.status, fields_of(response)) == (200, [])
    assert all("alt-svc" not in dict(fields) for _, fields in response.interim)


@pytest.mark.parametrize("mode", ("header", "frame"))
def test_a_forward_proxy_speaks_for_others(make_httpd, raw_backend, mode):
    """Such a response is of another origin, whose alternatives are not ours to name or to hide."""
    httpd = make_httpd(altsvc=True, protocols="h2 http/1.1", http3=False)
    httpd.vhost("h3.test", "AltSvc h3=\":8443\"\nAltSvcMode %s\nProxyRequests on\n" % mode)
    httpd.start()
    with httpd.h1() as conn:
        for path, fields in (("own", [BACKEND]), ("early", [BACKEND]), ("missing", [])):
            place = b"127.0.0.1:%d" % (raw_backend.port if path != "missing" else 1)
            conn.raw(b"GET http://%s/%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (
                place, path.encode(), place))
            response = conn.read_response()
            assert response.status == (503 if path == "missing" else 200)
            assert fields_of(response) == fields
            assert [dict(f).get("alt-svc") for _, f in response.interim] == (
                [BACKEND] if path == "early" else [])
    assert fields_of(httpd.fetch("1.1", "/small.txt")) == ['h3=":8443"; ma=86400']


def test_nothing_over_clear_text(httpd):
    for path, status in (("/small.txt", 200), ("/nothing-here", 404), ("/raw/own", 200),
                         ("/old", 301)):
        response = httpd.fetch("1.1", path, tls=False, sni="clear.h3.test")
        assert (response.status, fields_of(response)) == (status, []), path
    with httpd.h1(tls=False, sni="clear.h3.test") as conn:
        conn.raw(b"garbage\r\n\r\n")
        assert fields_of(conn.read_response()) == []


def test_nothing_for_clear_text_on_the_tls_port(httpd):
    with httpd.h1(port=httpd.port, tls=False) as conn:
        conn.raw(b"GET / HTTP/1.1\r\nHost: h3.test\r\n\r\n")
        response = conn.read_response()
    assert (response.status, fields_of(response)) == (400, [])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_response_of_a_connection(httpd, version):
    """Nothing of one request's decision stays for the next."""
    with httpd.client(version) as conn:
        for _ in range(3):
            assert fields_of(conn.request("GET", "/off/file.txt")) == []
            assert fields_of(conn.request("GET", "/always/file.txt")) == [ADMIN]
            assert fields_of(conn.request("GET", "/small.txt")) == [OURS]
            assert fields_of(conn.request("GET", "/nothing-here")) == [OURS]


def test_a_cache_keeps_no_value(make_httpd, raw_backend):
    """What is stored has neither the backend's field nor ours; each answer gets today's."""
    httpd = make_httpd(altsvc=True, modules=("cache", "cache_disk"))
    include, store = httpd.path("conf", "value"), httpd.path("cache")
    os.mkdir(store)
    os.chmod(store, 0o777)
    content.write(include, 'AltSvc h3=":1"\n')
    httpd.vhost("h3.test", """
        Include %s
        CacheRoot %s
        CacheEnable disk /
        CacheDefaultExpire 3600
        CacheIgnoreNoLastMod on
        CacheDetailHeader on
        ProxyPass /raw/ http://127.0.0.1:%d/
    """ % (include, store, raw_backend.port))
    httpd.start()
    for path in ("/small.txt", "/raw/own"):
        response = httpd.fetch("1.1", path)
        assert response.get("x-cache-detail").startswith('"cache miss'), response
        assert fields_of(response) == ['h3=":1"; ma=86400']
    content.write(include, 'AltSvc h3=":2"\n')
    httpd.graceful()
    for path in ("/small.txt", "/raw/own"):
        response = httpd.fetch("1.1", path)
        assert response.get("x-cache-detail").startswith('"cache hit'), response
        assert fields_of(response) == ['h3=":2"; ma=86400']
    stored = b"".join(open(os.path.join(folder, name), "rb").read()
                      for folder, _, names in os.walk(store) for name in names)
    assert b"Content-Length" in stored and b"h3=" not in stored
