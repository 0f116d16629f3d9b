# SPDX-License-Identifier: Apache-2.0
"""What clients of all kinds do when they download, upload, give up, come back and prove who they
are: the same over HTTP/1.1, HTTP/2 and HTTP/3. Where a protocol differs, the test says why."""
import base64
import hashlib
import re
import time
import zlib

import pytest

from h3test import content
from h3test.stepwise import Exchange, Gates

VERSIONS = ("1.1", "2", "3")
# Under the sanitizers only what runs the code that they look at.
CHECKED = ("1.1", "2", pytest.param("3", marks=pytest.mark.sanitize))
MULTIPLEXED = ("2", "3")
SIZES = (0, 1, 1023, 65536, 300001, 3 << 20)
CGI = {
    # Half of its output, then a pause until its reader has seen it.
    "halves.cgi": "echo 'Content-Type: text/plain'; echo; echo 'first half'\n"
                  "while [ ! -e \"$QUERY_STRING/go\" ]; do sleep 0.02; done; echo 'second half'\n",
    "heads.cgi": "echo 'Content-Type: text/plain'; i=0\n"
                 "while [ $i -lt 60 ]; do printf 'X-Field-%d: %01000d\\n' $i $i; i=$((i+1)); done\n"
                 "echo; echo 'large head'\n",
    "cookies.cgi": "echo 'Content-Type: text/plain'; i=0\n"
                   "while [ $i -lt 30 ]; do echo \"Set-Cookie: c$i=v$i\"; i=$((i+1)); done\n"
                   "echo; echo \"$HTTP_COOKIE\"\n",
    "early.cgi": "echo 'Status: 403 No'; echo 'Content-Type: text/plain'; echo; echo 'not read'\n"
                 "[ -n \"$QUERY_STRING\" ] || exec cat >/dev/null\n",
}


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(modules=["auth_digest"])
    for size in SIZES:
        content.write(httpd.path("htdocs", "size-%d" % size), content.pseudo_random(size))
    for name, text in CGI.items():
        content.write(httpd.path("cgi-bin", name), "#!/bin/sh\n" + text, 0o755)
    digest = hashlib.md5(("%s:realm:%s" % (content.USER, content.PASSWORD)).encode()).hexdigest()
    content.write(httpd.path("htdigest"), "%s:realm:%s\n" % (content.USER, digest))
    httpd.vhost(body="""
    KeepAliveTimeout 20
    LimitRequestFieldSize 16000
    <Location /digest>
        AuthType Digest
        AuthName realm
        AuthDigestProvider file
        AuthUserFile {root}/htdigest
        Require valid-user
    </Location>
    Alias /digest/ {docs}/
    <Location /basic>
        AuthType Basic
        AuthName realm
        AuthUserFile {root}/htpasswd
        Require valid-user
    </Location>
    Alias /basic/ {docs}/
    ScriptAlias /basic-cgi/ {root}/cgi-bin/
    <Location /basic-cgi>
        AuthType Basic
        AuthName realm
        AuthUserFile {root}/htpasswd
        Require valid-user
    </Location>
    <Location /denied>
        Require all denied
    </Location>
    ScriptAlias /little/ {root}/cgi-bin/
    <Location /little>
        LimitRequestBody 1000
    </Location>
    ScriptAlias /inflate/ {root}/cgi-bin/
    <Location /inflate>
        SetInputFilter DEFLATE
    </Location>
    <Location /deflate/>
        SetOutputFilter DEFLATE
    </Location>
    RedirectMatch 301 ^/r301/(.*) /cgi-bin/$1
    RedirectMatch 302 ^/r302/(.*) /cgi-bin/$1
    RedirectMatch 303 ^/r303/(.*) /cgi-bin/$1
    RedirectMatch 307 ^/r307/(.*) /r308/$1
    RedirectMatch 308 ^/r308/(.*) /cgi-bin/$1
    """.format(root=httpd.root, docs=httpd.docs))
    return httpd.start()


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def pieces_of(data, size=16000):
    return [data[i:i + size] for i in range(0, len(data), size)]


# ---- downloads

@pytest.mark.parametrize("version", VERSIONS)
def test_downloads_one_after_the_other(httpd, version):
    with httpd.client(version) as conn:
        for size in SIZES + SIZES[::-1]:
            answer = conn.request("GET", "/size-%d" % size)
            assert answer.get("content-length") == str(size)
            assert answer.body == content.pseudo_random(size)


@pytest.mark.parametrize("version", MULTIPLEXED)
def test_downloads_at_once(httpd, version):
    with httpd.client(version) as conn:
        running = [(size, Exchange(conn, path="/size-%d" % size))
                   for size in (1023, 65536, 300001) * 20]
        for size, exchange in running[::-1]:
            assert exchange.finish().body == content.pseudo_random(size)


@pytest.mark.parametrize("version", VERSIONS)
def test_reader_that_pauses(httpd, version):
    """It takes nothing for a while in the middle of a response, several times."""
    size = SIZES[-1]
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/size-%d" % size)
        for part in range(1, 6):
            exchange.see(lambda response, part=part: len(response.body) >= part * size // 6)
            time.sleep(0.1)
        assert exchange.finish().body == content.pseudo_random(size)


@pytest.mark.parametrize("version", VERSIONS)
def test_script_that_pauses(httpd, version):
    gates = Gates(httpd)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, path="/cgi-bin/halves.cgi?%s" % gates.folder)
        exchange.see_text(b"first half\n")
        assert b"second" not in exchange.response.body
        gates.open("go")
        assert exchange.finish().body == b"first half\nsecond half\n"


@pytest.mark.parametrize("version", CHECKED)
def test_downloads_given_up(httpd, version):
    """In the middle; what comes after on the connection (HTTP/1.1: on the next) is whole."""
    for _ in range(10):
        with httpd.client(version) as conn:
            for _ in range(3 if version != "1.1" else 1):
                exchange = Exchange(conn, path="/size-%d" % SIZES[-1])
                exchange.see(lambda response: len(response.body) > 20000)
                exchange.abort()
            if version != "1.1":
                assert conn.request("GET", "/small.txt").body == content.SMALL
    assert httpd.fetch(version, "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", VERSIONS)
def test_resume(httpd, version):
    """The rest of a file by Range, if it is still the same one."""
    size, etag = SIZES[-1], httpd.fetch(version, "/size-%d" % SIZES[-1], "HEAD").get("etag")
    have = b""
    with httpd.client(version) as conn:
        while len(have) < size:
            answer = conn.request("GET", "/size-%d" % size, [
                ("Range", "bytes=%d-%d" % (len(have), len(have) + 999999)), ("If-Range", etag)])
            assert answer.status == 206
            have += answer.body
        assert have == content.pseudo_random(size)
        answer = conn.request("GET", "/size-%d" % size, [
            ("Range", "bytes=10-"), ("If-Range", '"another"')])
        assert answer.status == 200 and answer.body == have


# Range, status, Content-Range, body; of a file of 1023 bytes.
R = content.pseudo_random(1023)
RANGES = {
    "first byte": ("bytes=0-0", 206, "bytes 0-0/1023", R[:1]),
    "last byte": ("bytes=1022-1022", 206, "bytes 1022-1022/1023", R[1022:]),
    "open": ("bytes=1000-", 206, "bytes 1000-1022/1023", R[1000:]),
    "suffix": ("bytes=-1", 206, "bytes 1022-1022/1023", R[1022:]),
    "suffix longer than the file": ("bytes=-5000", 206, "bytes 0-1022/1023", R),
    "end behind the file": ("bytes=1020-9999", 206, "bytes 1020-1022/1023", R[1020:]),
    "start behind the file": ("bytes=1023-", 416, None, None),
    "suffix of nothing": ("bytes=-0", 200, None, R),
    "backwards": ("bytes=5-3", 200, None, R),
    "another unit": ("lines=0-1", 200, None, R),
    "no range": ("bytes=", 200, None, R),
    "words": ("bytes=a-b", 200, None, R),
    "more than are allowed": ("bytes=" + ",".join("%d-%d" % (i, i) for i in range(0, 900, 3)), 200,
                              None, R),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(RANGES))
def test_range(httpd, version, name):
    wanted, status, content_range, body = RANGES[name]
    answer = httpd.fetch(version, "/size-1023", fields=[("Range", wanted)])
    assert (answer.status, answer.get("content-range")) == (status, content_range)
    assert body is None or answer.body == body


@pytest.mark.parametrize("version", VERSIONS)
def test_parts(httpd, version):
    """Several ranges, in one body."""
    answer = httpd.fetch(version, "/size-1023", fields=[("Range", "bytes=0-1,-2,500-509")])
    boundary = re.fullmatch("multipart/byteranges; boundary=(.+)",
                            answer.get("content-type")).group(1).encode()
    parts = answer.body.split(b"--" + boundary)[1:-1]
    found = [re.search(rb"(?i)content-range: (.*?)\r\n\r\n(.*)\r\n$", part, re.S).groups()
             for part in parts]
    assert found == [(b"bytes 0-1/1023", R[:2]), (b"bytes 1021-1022/1023", R[1021:]),
                     (b"bytes 500-509/1023", R[500:510])]


@pytest.mark.parametrize("version", VERSIONS)
def test_range_of_what_is_made(httpd, version):
    """Of a compressed file, and of a script's output, whose length nobody knows yet."""
    answer = httpd.fetch(version, "/deflate/text.txt", fields=[
        ("Accept-Encoding", "gzip"), ("Range", "bytes=0-9")])
    assert answer.status in (200, 206) and answer.get("content-encoding") in ("gzip", None)
    answer = httpd.fetch(version, "/cgi-bin/status-line.cgi", fields=[("Range", "bytes=0-3")])
    assert answer.status == 200 and answer.body.startswith(b"HTTP/%s" % version.encode())


CONDITIONS = {
    "same entity tag": ([("If-None-Match", "{etag}")], 304),
    "one of several": ([("If-None-Match", '"no", {etag}')], 304),
    "weak comparison": ([("If-None-Match", "W/{etag}")], 304),
    "any": ([("If-None-Match", "*")], 304),
    "another entity tag": ([("If-None-Match", '"no"')], 200),
    "not newer": ([("If-Modified-Since", "{date}")], 304),
    "newer": ([("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")], 200),
    "a date that is none": ([("If-Modified-Since", "yesterday")], 200),
    "unchanged": ([("If-Unmodified-Since", "{date}")], 200),
    "changed": ([("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")], 412),
    "match": ([("If-Match", "{etag}")], 200),
    "no match": ([("If-Match", '"no"')], 412),
    "the tag counts, not the date": (
        [("If-None-Match", '"no"'), ("If-Modified-Since", "{date}")], 200),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_condition(httpd, version, name):
    with httpd.client(version) as conn:
        now = conn.request("HEAD", "/size-1023")
        fields, status = CONDITIONS[name]
        fields = [(n, v.format(etag=now.get("etag"), date=now.get("last-modified")))
                  for n, v in fields]
        answer = conn.request("GET", "/size-1023", fields)
        assert answer.status == status
        assert answer.body == (R if status == 200 else answer.body if status == 412 else b"")
        # RFC 9110 section 15.4.5
        assert status == 412 or answer.get("etag") == now.get("etag")


# ---- uploads

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("length_known", [True, False])
def test_uploads_one_after_the_other(httpd, version, length_known):
    with httpd.client(version) as conn:
        for size in SIZES:
            data = content.pseudo_random(size)
            answer = conn.request("PUT", "/cgi-bin/sha256.cgi",
                                  body=data if length_known else pieces_of(data))
            assert answer.text.split()[0] == digest_of(data)


@pytest.mark.parametrize("version", MULTIPLEXED)
def test_uploads_at_once(httpd, version):
    """Interleaved, a piece of each in turn."""
    data = [content.pseudo_random(60000, b"%d" % i) for i in range(12)]
    with httpd.client(version) as conn:
        running = [Exchange(conn, "POST", "/cgi-bin/sha256.cgi", has_body=True) for _ in data]
        for offset in range(0, 60000, 15000):
            for body, exchange in zip(data, running):
                exchange.send(body[offset:offset + 15000], offset == 45000)
        for body, exchange in zip(data, running):
            assert exchange.finish().text.split()[0] == digest_of(body)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("length_known", [True, False])
def test_upload_that_pauses(httpd, version, length_known):
    data = content.pseudo_random(100000)
    fields = [("Content-Length", "100000")] if length_known else []
    with httpd.client(version) as conn:
        exchange = Exchange(conn, "POST", "/cgi-bin/sha256.cgi", fields, has_body=True)
        for piece in pieces_of(data, 20000):
            exchange.send(piece)
            time.sleep(0.05)
        exchange.send(b"", True)
        assert exchange.finish().text.split()[0] == digest_of(data)
        assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", CHECKED)
def test_uploads_given_up(httpd, version):
    for _ in range(10):
        with httpd.client(version) as conn:
            exchange = Exchange(conn, "POST", "/cgi-bin/sha256.cgi",
                                [("Content-Length", "500000")], has_body=True)
            exchange.send(bytes(30000))
            exchange.abort()
            if version != "1.1":
                assert conn.request("GET", "/small.txt").body == content.SMALL
    assert httpd.fetch(version, "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path, status", [
    ("/nowhere", 404), ("/denied", 403), ("/basic/small.txt", 401), ("/little/sha256.cgi", 413),
    ("/cgi-bin/early.cgi", 403), ("/r303/env.cgi", 303), ("/small.txt", 405)])
def test_upload_that_is_answered_early(httpd, version, path, status):
    """A body that nobody wants is no fault of its sender; HTTP/2 and HTTP/3 go on after it."""
    with httpd.client(version) as conn:
        method = "PUT" if status == 405 else "POST"
        answer = conn.request(method, path, body=bytes(200000))
        assert answer.status == status
        if version != "1.1":
            assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", MULTIPLEXED)
def test_script_that_ends_without_reading(httpd, version):
    """It depends on chance whether httpd reads the script's answer or that the script is gone; over
    HTTP/1.1 there is no answer at all in that case."""
    with httpd.client(version) as conn:
        for _ in range(20):
            answer = conn.request("POST", "/cgi-bin/early.cgi?leave", body=bytes(200000))
            assert answer.status in (403, 500)
        assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", MULTIPLEXED)
@pytest.mark.parametrize("path, status", [
    ("/denied", 403), ("/nowhere", 404), ("/little/sha256.cgi", 413)])
def test_answer_before_the_body_has_come(httpd, version, path, status):
    """With only the head and a first piece there is an answer, whether the rest comes or not."""
    with httpd.client(version) as conn:
        exchange = Exchange(conn, "POST", path, [("Content-Length", "100000")], has_body=True)
        exchange.send(bytes(2000))
        assert exchange.see_head().status == status
        assert conn.request("GET", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("version", VERSIONS)
def test_compressed_upload(httpd, version):
    data = content.TEXT * 5
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(data) + packer.flush()
    answer = httpd.fetch(version, "/inflate/sha256.cgi", "POST", [("Content-Encoding", "gzip")],
                         body)
    assert answer.text.split()[0] == digest_of(data)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["/basic-cgi/sha256.cgi", "/cgi-bin/sha256.cgi"])
def test_expect_continue_of_a_large_body(httpd, version, path):
    """The body waits for the 100, and stays where it is not allowed."""
    data = content.pseudo_random(300000)
    with httpd.client(version) as conn:
        exchange = Exchange(conn, "POST", path, [
            ("Expect", "100-continue"), ("Content-Length", "300000")], has_body=True)
        exchange.see(lambda response: response.interim or response.status)
        if path.startswith("/basic"):
            assert (exchange.response.interim, exchange.response.status) == ([], 401)
            return
        assert [status for status, _ in exchange.response.interim] == [100]
        exchange.send(data, True)
        assert exchange.finish().text.split()[0] == digest_of(data)


# ---- redirections, authentication, heads

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_upload(httpd, version, status):
    """Followed as RFC 9110 section 15.4 has it: by GET after 303, by the same method after 307
    and 308, and as clients do after 301 and 302."""
    data = content.pseudo_random(50000)
    with httpd.client(version) as conn:
        method, path, seen = "POST", "/r%d/echo.cgi" % status, []
        for _ in range(4):
            answer = conn.request(method, path, [("Host", "h3.test")],
                                  data if method == "POST" else None)
            if answer.status < 300:
                break
            seen.append(answer.status)
            path = re.sub("^https://h3.test", "", answer.get("location"))
            method = method if answer.status in (307, 308) else "GET"
        assert seen == ([307, 308] if status == 307 else [status])
        assert answer.get("x-method") == method
        assert answer.body == (data if method == "POST" else b"")


@pytest.mark.parametrize("version", VERSIONS)
def test_passwords_on_one_connection(httpd, version):
    def basic(user, password):
        pair = ("%s:%s" % (user, password)).encode()
        return [("Authorization", "Basic " + base64.b64encode(pair).decode())]

    right = basic(content.USER, content.PASSWORD)
    with httpd.client(version) as conn:
        for fields, status in (([], 401), (basic(content.USER, "no"), 401), (right, 200), ([], 401),
                               (basic("", ""), 401), (right, 200), (basic("x" * 4000, "y"), 401),
                               (basic(content.USER, "z" * 9000), 401), (right, 200)):
            answer = conn.request("GET", "/basic/small.txt", fields)
            assert answer.status == status
            assert (answer.get("www-authenticate") is None) == (status == 200)


def digest_field(challenge, method, uri, password=content.PASSWORD, count=1):
    said = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))

    def md5(*words):
        return hashlib.md5(":".join(words).encode()).hexdigest()

    number = "%08x" % count
    answer = md5(md5(content.USER, said["realm"], password), said["nonce"], number, "cnonce",
                 "auth", md5(method, uri))
    return [("Authorization", 'Digest username="%s", realm="%s", nonce="%s", uri="%s", qop=auth, '
             'algorithm=MD5, nc=%s, cnonce="cnonce", response="%s"' % (
                 content.USER, said["realm"], said["nonce"], uri, number, answer))]


@pytest.mark.parametrize("version", VERSIONS)
def test_digest(httpd, version):
    with httpd.client(version) as conn:
        answer = conn.request("GET", "/digest/small.txt")
        challenge = answer.get("www-authenticate")
        assert answer.status == 401 and challenge.startswith("Digest ")
        for count in (1, 2, 3):
            fields = digest_field(challenge, "GET", "/digest/small.txt", count=count)
            assert conn.request("GET", "/digest/small.txt", fields).body == content.SMALL
        for wrong in (digest_field(challenge, "GET", "/digest/small.txt", "no"),
                      digest_field(challenge, "POST", "/digest/small.txt"),
                      digest_field(challenge.replace('nonce="', 'nonce="x'), "GET",
                                   "/digest/small.txt")):
            assert conn.request("GET", "/digest/small.txt", wrong).status == 401
        # Another URI than the request's (RFC 7616 section 3.4.6).
        fields = digest_field(challenge, "GET", "/digest/large.bin")
        assert conn.request("GET", "/digest/small.txt", fields).status == 400
    # The nonce is the server's, not the connection's.
    for other in VERSIONS:
        fields = digest_field(challenge, "GET", "/digest/small.txt")
        assert httpd.fetch(other, "/digest/small.txt", fields=fields).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_large_heads(httpd, version):
    """60 KB of fields in a response, 90 fields and 12 KB of one field in a request."""
    with httpd.client(version) as conn:
        answer = conn.request("GET", "/cgi-bin/heads.cgi")
        assert answer.body == b"large head\n"
        for i in range(60):
            assert answer.get("x-field-%d" % i) == "%01000d" % i
        fields = [("X-Number-%d" % i, str(i)) for i in range(90)]
        env = conn.request("GET", "/cgi-bin/env.cgi", fields).text
        assert all("HTTP_X_NUMBER_%d=%d\n" % (i, i) in env for i in range(90))
        env = conn.request("GET", "/cgi-bin/env.cgi?" + "q" * 7000, [("X-Long", "l" * 12000)]).text
        assert "HTTP_X_LONG=%s\n" % ("l" * 12000) in env
        assert "QUERY_STRING=%s\n" % ("q" * 7000) in env


@pytest.mark.parametrize("version", VERSIONS)
def test_too_long_a_path(httpd, version):
    assert httpd.fetch(version, "/" + "p" * 9000).status == 414


@pytest.mark.parametrize("version", VERSIONS)
def test_cookies(httpd, version):
    """Thirty that are set, and thirty that are sent: HTTP/2 and HTTP/3 may send one field each
    (RFC 9113 section 8.2.3, RFC 9114 section 4.2.1), a script sees one."""
    cookies = ["c%d=v%d" % (i, i) for i in range(30)]
    fields = [("Cookie", "; ".join(cookies))] if version == "1.1" else [
        ("Cookie", cookie) for cookie in cookies]
    answer = httpd.fetch(version, "/cgi-bin/cookies.cgi", fields=fields)
    assert answer.get_all("set-cookie") == cookies
    assert answer.text == "; ".join(cookies) + "\n"
