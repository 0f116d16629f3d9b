# SPDX-License-Identifier: Apache-2.0
"""The same request over HTTP/1.1, HTTP/2 and HTTP/3 has the same answer: status, end-to-end fields
and body. Each case also says what the answer is, so that three equal mistakes do not pass."""
import base64
import hashlib
import zlib

import pytest

from h3test import content

VERSIONS = ("1.1", "2", "3")
# Fields of one connection (RFC 9110 section 7.6.1), and the clock.
NOT_COMPARED = {"connection", "keep-alive", "transfer-encoding", "upgrade", "date"}


@pytest.fixture(scope="module")
def httpd(make_httpd, backend):
    httpd = make_httpd()
    httpd.vhost(body="""
    AddLanguage en .en
    AddLanguage de .de
    ErrorDocument 404 /missing.html
    ErrorDocument 403 "a text in the configuration"
    ErrorDocument 417 /cgi-bin/echo.cgi
    Redirect permanent /old https://h3.test/new
    Redirect gone /gone
    RedirectMatch temp ^/moved/(.*) /$1
    <Location /deflate/>
        SetOutputFilter DEFLATE
    </Location>
    <Directory {docs}/ssi>
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
    </Directory>
    <Location /small.txt>
        Header set X-Custom "one"
        Header add X-Custom "two"
        Header set Vary "Accept"
    </Location>
    <Location /expires.txt>
        ExpiresActive On
        ExpiresDefault "access plus 1 hour"
    </Location>
    <Location /forbidden>
        Require all denied
    </Location>
    RewriteEngine on
    RewriteRule ^/rewritten/(.*)$ /$1 [PT]
    RewriteRule ^/expires.txt$ /text.txt
    ProxyPass /backend/ http://127.0.0.1:{backend}/
    ProxyPassReverse /backend/ http://127.0.0.1:{backend}/
    ProxyPass /nobody/ http://127.0.0.1:1/
    """.format(docs=httpd.docs, backend=backend.port))
    return httpd.start()


def comparable(response):
    return sorted(f for f in response.fields if f[0] not in NOT_COMPARED)


def ask(httpd, version, path, method="GET", fields=(), body=None):
    with httpd.client(version) as conn:
        return conn.request(method, path, fields, body)


def same(httpd, path, method="GET", fields=(), body=None, versions=VERSIONS, streamed=False):
    """Asks by all protocols and returns the answer, which is the same by all. `streamed`: whether
    httpd knows the length when it sends the head is a matter of timing, so there is either no
    Content-Length or a right one."""
    answers = {v: ask(httpd, v, path, method, fields, body) for v in versions}
    for answer in answers.values() if streamed else ():
        length = answer.get("content-length")
        assert length is None or method == "HEAD" or int(length) == len(answer.body)
        answer.fields = [f for f in answer.fields if f[0] != "content-length"]
    first = answers[versions[0]]
    for version in versions[1:]:
        other = answers[version]
        assert other.status == first.status, version
        assert comparable(other) == comparable(first), version
        assert other.body == first.body, version
    return answers["3"]


def etag(httpd, path):
    return ask(httpd, "1.1", path).get("etag")


@pytest.mark.sanitize
def test_static_file(httpd):
    answer = same(httpd, "/small.txt")
    assert (answer.status, answer.body) == (200, content.SMALL)
    assert answer.get("content-length") == str(len(content.SMALL))
    assert answer.get("content-type") == "text/plain"
    assert answer.get_all("x-custom") == ["one", "two"]
    assert answer.get("etag") and answer.get("last-modified")


@pytest.mark.sanitize
def test_large_file(httpd):
    answer = same(httpd, "/large.bin")
    assert answer.status == 200 and answer.body == content.LARGE


def test_empty_file(httpd):
    answer = same(httpd, "/empty.txt")
    assert (answer.status, answer.body, answer.get("content-length")) == (200, b"", "0")


@pytest.mark.sanitize
def test_index(httpd):
    answer = same(httpd, "/")
    assert answer.status == 200 and b"the index" in answer.body


def test_directory_gets_its_slash(httpd):
    answer = same(httpd, "/dir", fields=[("Host", "h3.test")])
    assert answer.status == 301 and answer.get("location") == "https://h3.test/dir/"


def test_directory_index(httpd):
    assert b"a directory" in same(httpd, "/dir/").body


def test_autoindex(httpd):
    answer = same(httpd, "/list/")
    assert answer.status == 200 and b"one.txt" in answer.body


def test_negotiation(httpd):
    answer = same(httpd, "/negotiate/page.html", fields=[("Accept-Language", "de")])
    assert (answer.status, answer.body) == (200, b"deutsch\n")
    assert answer.get("content-language") == "de"


@pytest.mark.sanitize
def test_not_modified_by_etag(httpd):
    answer = same(httpd, "/small.txt", fields=[("If-None-Match", etag(httpd, "/small.txt"))])
    assert (answer.status, answer.body) == (304, b"")


def test_not_modified_by_time(httpd):
    when = ask(httpd, "1.1", "/small.txt").get("last-modified")
    assert same(httpd, "/small.txt", fields=[("If-Modified-Since", when)]).status == 304


def test_precondition_fails(httpd):
    assert same(httpd, "/small.txt", fields=[("If-Match", '"no"')]).status == 412


@pytest.mark.sanitize
def test_range(httpd):
    answer = same(httpd, "/large.bin", fields=[("Range", "bytes=1000-9999")])
    assert answer.status == 206 and answer.body == content.LARGE[1000:10000]
    assert answer.get("content-range") == "bytes 1000-9999/%d" % len(content.LARGE)


def test_range_from_the_end(httpd):
    answer = same(httpd, "/large.bin", fields=[("Range", "bytes=-500")])
    assert answer.status == 206 and answer.body == content.LARGE[-500:]


def test_several_ranges(httpd):
    fields = [("Range", "bytes=0-9,100-109")]
    bodies = []
    for version in VERSIONS:
        answer = ask(httpd, version, "/large.bin", fields=fields)
        assert answer.status == 206
        kind = answer.get("content-type")
        assert kind.startswith("multipart/byteranges; boundary=")
        # The boundary is new in each answer.
        bodies.append(answer.body.replace(kind.split("=")[1].encode(), b"BOUNDARY"))
        assert int(answer.get("content-length")) == len(answer.body)
    assert bodies[0] == bodies[1] == bodies[2]
    assert content.LARGE[100:110] in bodies[2]


def test_range_not_satisfiable(httpd):
    answer = same(httpd, "/small.txt", fields=[("Range", "bytes=1000-")])
    assert answer.status == 416


@pytest.mark.sanitize
def test_not_found_with_error_document(httpd):
    answer = same(httpd, "/nowhere")
    assert answer.status == 404 and b"the page for what is missing" in answer.body


def test_forbidden_with_text(httpd):
    answer = same(httpd, "/forbidden")
    assert (answer.status, answer.body) == (403, b"a text in the configuration")


@pytest.mark.parametrize("path, status, location", [
    ("/old", 301, "https://h3.test/new"),
    ("/moved/small.txt", 302, "https://h3.test/small.txt"),
    ("/gone", 410, None)])
def test_redirect(httpd, path, status, location):
    answer = same(httpd, path, fields=[("Host", "h3.test")])
    assert (answer.status, answer.get("location")) == (status, location)


def test_rewrite(httpd):
    assert same(httpd, "/rewritten/small.txt").body == content.SMALL


def test_escapes_in_the_path(httpd):
    assert same(httpd, "/%73mall.txt?q=%20").body == content.SMALL
    assert same(httpd, "/a%2fb").status == 404
    assert same(httpd, "/dir/../small.txt").body == content.SMALL


def test_expires(httpd):
    answers = [ask(httpd, v, "/expires.txt") for v in VERSIONS]
    assert {a.get("cache-control") for a in answers} == {"max-age=3600"}
    assert all(a.body == content.TEXT for a in answers)


@pytest.mark.sanitize
@pytest.mark.parametrize("path, status", [
    ("/small.txt", 200), ("/large.bin", 200), ("/nowhere", 404), ("/backend/x", 200),
    ("/old", 301)])
def test_head(httpd, path, status):
    answer = same(httpd, path, "HEAD")
    assert (answer.status, answer.body) == (status, b"")


def test_head_of_a_cgi(httpd):
    """Not compared with mod_http2 2.0.42, which sends a body here."""
    answer = same(httpd, "/cgi-bin/env.cgi", "HEAD", versions=("1.1", "3"), streamed=True)
    assert (answer.status, answer.body, answer.get("x-cgi")) == (200, b"", "yes")


def test_head_says_the_length(httpd):
    assert same(httpd, "/large.bin", "HEAD").get("content-length") == str(len(content.LARGE))


@pytest.mark.sanitize
def test_cgi_post(httpd):
    answer = same(httpd, "/cgi-bin/echo.cgi", "POST", body=b"some body", streamed=True)
    assert (answer.status, answer.body) == (200, b"some body")
    assert answer.get("x-method") == "POST" and answer.get("x-length") == "9"


@pytest.mark.sanitize
def test_cgi_post_of_unknown_length(httpd):
    pieces = [content.pseudo_random(5000, b"%d" % i) for i in range(40)]
    answer = same(httpd, "/cgi-bin/echo.cgi", "POST", body=pieces, streamed=True)
    assert answer.status == 200 and answer.body == b"".join(pieces)


def test_cgi_post_of_nothing(httpd):
    answer = same(httpd, "/cgi-bin/echo.cgi", "POST", body=b"", streamed=True)
    assert (answer.status, answer.body) == (200, b"")


def test_cgi_large_post(httpd):
    answer = same(httpd, "/cgi-bin/sha256.cgi", "POST", body=content.LARGE, streamed=True)
    assert answer.status == 200
    assert answer.text.split()[0] == hashlib.sha256(content.LARGE).hexdigest()


def test_cgi_put(httpd):
    answer = same(httpd, "/cgi-bin/echo.cgi", "PUT", body=b"put this", streamed=True)
    assert (answer.status, answer.body, answer.get("x-method")) == (200, b"put this", "PUT")


def test_cgi_delete(httpd):
    assert same(httpd, "/cgi-bin/echo.cgi", "DELETE", streamed=True).get("x-method") == "DELETE"


def test_cgi_status(httpd):
    answer = same(httpd, "/cgi-bin/status.cgi", streamed=True)
    assert (answer.status, answer.body) == (404, b"a CGI says no\n")


def test_cgi_redirect(httpd):
    answer = same(httpd, "/cgi-bin/redirect.cgi")
    assert (answer.status, answer.get("location")) == (302, "https://elsewhere.test/there")


@pytest.mark.sanitize
@pytest.mark.parametrize("path, status", [("/old", 301), ("/forbidden", 403), ("/nowhere", 404)])
def test_body_that_nobody_reads(httpd, path, status):
    assert same(httpd, path, "POST", body=b"x" * 1000).status == status


def test_cgi_that_fails(httpd):
    assert same(httpd, "/cgi-bin/crash.cgi").status == 500


@pytest.mark.sanitize
@pytest.mark.parametrize("end", ["\\n", "\\r\\n"])
def test_cgi_that_writes_its_own_head(httpd, end):
    """A script named nph-* writes to the connection; most end their lines by LF alone."""
    lines = ["HTTP/1.1 203 Mine", "Content-Type: text/plain", "X-Own: yes", "", ""]
    content.write(httpd.path("cgi-bin", "nph-own.cgi"),
                  "#!/bin/sh\nprintf '%s'\necho 'its own head'\n" % end.join(lines), 0o755)
    for method in ("GET", "HEAD"):
        answer = ask(httpd, "3", "/cgi-bin/nph-own.cgi", method)
        assert (answer.status, answer.get("x-own")) == (203, "yes")
        assert answer.body == (b"its own head\n" if method == "GET" else b"")


def test_cgi_whose_own_head_has_no_end(httpd):
    content.write(httpd.path("cgi-bin", "nph-cut.cgi"), "#!/bin/sh\necho 'HTTP/1.1 200 OK'\n",
                  0o755)
    answer = ask(httpd, "3", "/cgi-bin/nph-cut.cgi")
    assert answer.status == 500 and b"Internal Server Error" in answer.body
    httpd.wait_log("AH20364: a response that ends inside its head")


def test_cgi_that_streams(httpd):
    answer = same(httpd, "/cgi-bin/stream.cgi", streamed=True)
    assert answer.body == b"".join(b"piece %d\n" % i for i in range(20))


def test_method_not_allowed(httpd):
    answer = same(httpd, "/small.txt", "PUT", body=b"no")
    assert answer.status == 405 and "GET" in answer.get("allow")


def test_unknown_method(httpd):
    assert same(httpd, "/small.txt", "BREW").status == 501


def test_options(httpd):
    answer = same(httpd, "/small.txt", "OPTIONS")
    assert answer.status == 200 and "GET" in answer.get("allow")


def basic(user, password):
    return [("Authorization", "Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode())]


@pytest.mark.sanitize
def test_basic_auth_in_htaccess(httpd):
    answer = same(httpd, "/private/")
    assert answer.status == 401 and answer.get("www-authenticate") == 'Basic realm="private"'
    assert same(httpd, "/private/", fields=basic(content.USER, "wrong")).status == 401
    assert same(httpd, "/private/", fields=basic("bob", content.PASSWORD)).status == 401
    answer = same(httpd, "/private/", fields=basic(content.USER, content.PASSWORD))
    assert answer.status == 200 and b"you may" in answer.body


@pytest.mark.sanitize
def test_deflate(httpd):
    fields = [("Accept-Encoding", "gzip")]
    answer = same(httpd, "/deflate/text.txt", fields=fields)
    assert answer.get("content-encoding") == "gzip" and answer.get("vary") == "Accept-Encoding"
    assert zlib.decompress(answer.body, 31) == content.TEXT
    plain = same(httpd, "/deflate/text.txt")
    assert plain.get("content-encoding") is None and plain.body == content.TEXT


def test_include(httpd):
    answer = same(httpd, "/ssi/plain.shtml")
    assert answer.body == b"before " + content.SMALL + b"after\n"


@pytest.mark.sanitize
def test_backend(httpd):
    answer = same(httpd, "/backend/hello?a=b")
    assert (answer.status, answer.body) == (200, b"the backend says hello\n")
    assert answer.get("x-backend") == "yes"


def test_backend_chunked_answer(httpd):
    answer = same(httpd, "/backend/chunked", streamed=True)
    assert answer.body == b"".join(b"piece %d\n" % i for i in range(10))


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 418, 500, 503])
def test_backend_status(httpd, status):
    answer = same(httpd, "/backend/status/%d" % status)
    assert answer.status == status


def test_backend_fields_twice(httpd):
    assert same(httpd, "/backend/cookies").get_all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


def test_backend_that_is_not_there(httpd):
    assert same(httpd, "/nobody/").status == 503


@pytest.mark.sanitize
@pytest.mark.parametrize("length_known", [True, False])
def test_backend_sees_the_same_request(httpd, backend, length_known):
    """An HTTP/1.1 request, whatever the client spoke."""
    pieces = [b"first ", b"second ", b"third"]
    seen = []
    for version in VERSIONS:
        backend.clear()
        answer = ask(httpd, version, "/backend/up?x=1", "POST",
                     [("X-Client", "yes"), ("Cookie", "a=1; b=2"), ("Host", "h3.test")],
                     b"".join(pieces) if length_known else pieces)
        assert (answer.status, answer.body) == (200, b"first second third")
        assert len(backend.seen) == 1
        seen.append(backend.seen[0])
    for request in seen:
        assert request.line == "POST /up?x=1 HTTP/1.1"
        assert request.body == b"first second third" and request.whole
        assert request.get("host") == "127.0.0.1:%d" % backend.port
        assert request.get("x-forwarded-host") == "h3.test"
        assert request.get("x-forwarded-for") == "127.0.0.1"
        assert request.get("cookie") == "a=1; b=2"
        assert sorted(request.fields) == sorted(seen[0].fields)


@pytest.mark.parametrize("version", VERSIONS)
def test_continue(httpd, version):
    """A 100 comes before the body goes; without Expect there is none."""
    answer = ask(httpd, version, "/cgi-bin/echo.cgi", "POST", [("Expect", "100-continue")], b"late")
    assert (answer.status, answer.body) == (200, b"late")
    assert [status for status, _ in answer.interim] == [100]
    answer = ask(httpd, version, "/cgi-bin/echo.cgi", "POST", [], b"at once")
    assert (answer.body, answer.interim) == (b"at once", [])


@pytest.mark.parametrize("version", VERSIONS)
def test_expectation_fails(httpd, version):
    assert ask(httpd, version, "/small.txt", fields=[("Expect", "200-maybe")]).status == 417


@pytest.mark.sanitize
@pytest.mark.parametrize("length_known", [True, False])
def test_error_document_reads_the_body(httpd, length_known):
    """As its client sent it, also where the request is refused while its head is looked at."""
    pieces = [b"one ", b"two"]
    answer = same(httpd, "/small.txt", "POST", [("Expect", "200-maybe")],
                  b"".join(pieces) if length_known else pieces, streamed=True)
    assert (answer.status, answer.body) == (417, b"one two")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_continue_where_the_answer_is_no(httpd, version):
    answer = ask(httpd, version, "/private/", "POST", [("Expect", "100-continue")], b"secret")
    assert (answer.status, answer.interim) == (401, [])


def test_fields_of_a_connection_are_not_sent(httpd):
    """RFC 9114 section 4.2."""
    for path in ("/small.txt", "/cgi-bin/stream.cgi", "/backend/chunked", "/nowhere"):
        answer = ask(httpd, "3", path)
        assert not {n for n, _ in answer.fields} & {
            "connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"}
        assert all(n == n.lower() for n, _ in answer.fields)
        assert answer.get("date") and answer.get("server")


@pytest.mark.sanitize
def test_many_requests_on_one_connection(httpd):
    with httpd.h3() as conn:
        for i in range(50):
            assert conn.request("GET", "/small.txt?%d" % i).body == content.SMALL
        streams = [conn.open("GET", path) for path in
                   ["/small.txt", "/large.bin", "/cgi-bin/stream.cgi", "/backend/x"] * 10]
        bodies = [s.finish().body for s in streams]
    assert bodies[0::4] == [content.SMALL] * 10
    assert bodies[1::4] == [content.LARGE] * 10
    assert all(b.endswith(b"piece 19\n") for b in bodies[2::4])
