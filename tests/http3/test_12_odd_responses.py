# SPDX-License-Identifier: Apache-2.0
"""Responses that are made for HTTP/1.1's framing, that no client could read, or that never come."""
import re

import pytest

from h3test import content
from h3test.cc import shared
from h3test.listener import Listener
from h3test.response import StreamEnded
from h3test.wait import until

OK = "HTTP/1.1 200 OK"
# What an nph- script prints, and what of it is the answer: (fields, body).
NPH = {
    "lf": (OK + "\nA: 1\nB: 2\n\nbody", "1 2"),
    "crlf": (OK + "\r\nA: 1\r\nB: 2\r\n\r\nbody", "1 2"),
    "crlf-then-lf": (OK + "\r\nA: 1\nB: 2\n\nbody", "1 2"),
    "lf-then-crlf": (OK + "\nA: 1\r\nB: 2\r\n\r\nbody", "1 2"),
    "crlf-empty-lf": (OK + "\r\nA: 1\r\nB: 2\r\n\nbody", "1 2"),
    "lf-empty-crlf": (OK + "\nA: 1\nB: 2\n\r\nbody", "1 2"),
    "folded": (OK + "\r\nA: 1\r\n\t3\r\nB: 2\r\n\r\nbody", "1  \t3 2"),
    "blank-before-colon": (OK + "\r\nA : 1\r\nB: 2\r\n\r\nbody", "1 2"),
    "interim": ("HTTP/1.1 103 Early Hints\nLink: </a>\r\n\n" + OK + "\r\nA: 1\nB: 2\n\nbody",
                "1 2"),
    "chunked": (OK + "\nA: 1\nB: 2\nTransfer-Encoding: chunked\n\n2\nbo\n2\ndy\n0\n\n", "1 2"),
    "chunked-length": (OK + "\r\nA: 1\r\nB: 2\r\nContent-Length: 99\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nC: 3\r\n\r\n", "1 2"),
}
# Nothing that a client could read as a head.
UNREADABLE = {
    "empty": "",
    "inside": OK + "\r\nA: 1\r\n",
    "rubbish": "what is this\n\n",
    "lone-cr": OK + "\r\nA: 1\rSet-Cookie: a=b\r\n\r\nbody",
    "fold-first": OK + "\r\n A: 1\r\n\r\nbody",
    "no-colon": OK + "\r\nabc\r\n\r\nbody",
    "no-name": OK + "\r\n: 1\r\n\r\nbody",
    "bad-name": OK + "\r\na b: 1\r\n\r\nbody",
    "control": OK + "\r\nA: b\\001ar\r\n\r\nbody",
    "nul": OK + "\r\nA: b\\000ar\r\n\r\nbody",
    "status-99": "HTTP/1.1 099 OK\r\n\r\nbody",
    "status-1000": "HTTP/1.1 1000 OK\r\n\r\nbody",
    "status-101": "HTTP/1.1 101 Switching\r\n\r\nbody",
    "coding": OK + "\r\nTransfer-Encoding: gzip, chunked\r\n\r\nbody",
}
# Bodies that their own framing contradicts: the head has gone, only a reset can tell.
BROKEN = {
    "chunks-cut": OK + "\nTransfer-Encoding: chunked\n\n4\nbody\n",
    "no-chunks": OK + "\nTransfer-Encoding: chunked\n\nbody",
    "two-heads": OK + "\nContent-Length: 4\n\n" + OK + "\nContent-Length: 4\n\nbody",
}
# What a CGI prints that httpd refuses, with a body that has come by then or has not.
CGI = {"control": "Foo: b\\001ar", "name": "Fo o: bar", "no-name": ": bar"}


def script(httpd, name, *output):
    text = "".join("printf '%s'\n" % o.replace("\r", "\\r").replace("\n", "\\n") if o else
                   "sleep 0.1\n" for o in output)
    content.write(httpd.path("cgi-bin", name + ".cgi"), "#!/bin/sh\n" + text, 0o755)


def rubbish(answer):
    """A backend that says always the same, whatever it is asked, and hangs up."""
    return Listener(lambda conn: conn.recv(65536) and conn.sendall(answer))


@pytest.fixture(scope="module")
def backends():
    answers = {"rubbish": b"what is this\r\n\r\n", "nothing": b"",
               "inside": b"HTTP/1.1 200 OK\r\nA:",
               "control": b"HTTP/1.1 200 OK\r\nA: b\x01ar\r\n\r\nbody"}
    made = {name: rubbish(answer) for name, answer in answers.items()}
    yield made
    for backend in made.values():
        backend.stop()


@pytest.fixture(scope="module")
def httpd(make_httpd, backends):
    httpd = make_httpd()
    httpd.add("LoadModule odd_module " + shared("mod_odd"))
    httpd.vhost(body="""
    <Location /odd>
        SetHandler odd
    </Location>
    <Location /old>
        SetHandler odd
        SetEnv downgrade-1.0 1
        SetEnv force-response-1.0 1
        SetEnv nokeepalive 1
    </Location>
    <Location /page>
        SetHandler odd
        ErrorDocument 500 /missing.html
    </Location>
    <Location /again>
        SetHandler odd
        ErrorDocument 500 /cgi-bin/nph-empty.cgi
    </Location>
    <Location /first>
        ErrorDocument 404 /cgi-bin/nph-rubbish.cgi
    </Location>
    RewriteEngine on
    RewriteRule ^/redirected /cgi-bin/nph-empty.cgi [PT]
    %s
    """ % "\n".join("ProxyPass /backend/%s http://127.0.0.1:%d/" % (name, b.port)
                    for name, b in backends.items()))
    for name, (text, _) in NPH.items():
        script(httpd, "nph-" + name, text)
    for name, text in {**UNREADABLE, **BROKEN}.items():
        script(httpd, "nph-" + name, text)
    for name, line in CGI.items():
        script(httpd, "fast-" + name, "Content-Type: text/plain\n%s\n\nbody\n" % line)
        script(httpd, "slow-" + name, "Content-Type: text/plain\n%s\n\n" % line, "", "body\n")
    return httpd.start()


def logged(httpd, path):
    """The status that the access log has for the last request of the path."""
    pattern = re.compile(r'"[A-Z]+ %s HTTP/3.0" (\d+) ' % re.escape(path))
    return until(lambda: pattern.findall(httpd.access()), what="a log line for " + path)[-1]


def has_no_wrong_length(response):
    """Core leaves it away at times, as over HTTP/1.1."""
    assert response.get("content-length") in (None, str(len(response.body)))


def is_500(httpd, response, path):
    assert response.status == 500, response
    assert b"Internal Server Error" in response.body
    has_no_wrong_length(response)
    assert response.get("set-cookie") is None
    assert logged(httpd, path) == "500"


# -- HTTP/1.1's framing

@pytest.mark.sanitize
@pytest.mark.parametrize("handler", ["chunked", "chunked_and_length", "chunked_field",
                                     "chunked_by_filter", "keeps_alive", "no_head"])
@pytest.mark.parametrize("folder", ["/odd", "/old"])
def test_no_framing_of_http1(httpd, folder, handler):
    response = httpd.fetch("3", "%s?%s" % (folder, handler))
    assert response.status == 200 and response.body == b"hello world\n"
    for name in ("transfer-encoding", "content-length", "connection", "keep-alive", "upgrade"):
        assert response.get(name) is None, response
    for name in ("date", "server", "content-type"):
        assert len(response.get_all(name)) == 1, response


def test_no_framing_of_an_error_page(httpd):
    response = httpd.fetch("3", "/odd?chunked_error")
    assert response.status == 404
    assert response.body.startswith(b"<!DOCTYPE") and response.body.endswith(b"</html>\n")
    assert response.get("transfer-encoding") is None


def test_head_of_a_chunked_response(httpd):
    response = httpd.fetch("3", "/odd?chunked", "HEAD")
    assert response.status == 200 and response.body == b""


# -- scripts that write their own heads

@pytest.mark.sanitize
@pytest.mark.parametrize("name", NPH)
def test_head_of_a_script(httpd, name):
    response = httpd.fetch("3", "/cgi-bin/nph-%s.cgi" % name)
    assert response.status == 200 and response.body == b"body"
    assert "%s %s" % (response.get("a"), response.get("b")) == NPH[name][1]
    assert response.get("transfer-encoding") is None and response.get("content-length") is None
    assert [status for status, _ in response.interim] == ([103] if name == "interim" else [])


@pytest.mark.sanitize
@pytest.mark.parametrize("name", BROKEN)
def test_script_that_contradicts_itself(httpd, name):
    with pytest.raises(StreamEnded):
        httpd.fetch("3", "/cgi-bin/nph-%s.cgi" % name)


# -- core's own answer

@pytest.mark.sanitize
@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_head_of_a_script(httpd, name):
    path = "/cgi-bin/nph-%s.cgi" % name
    is_500(httpd, httpd.fetch("3", path), path)


@pytest.mark.sanitize
@pytest.mark.parametrize("handler", ["nothing", "only_eos", "only_error", "filter_error",
                                     "status_101", "huge_head", "control_byte", "line_feed",
                                     "empty_name"])
def test_no_response_of_a_handler(httpd, handler):
    path = "/odd?" + handler
    is_500(httpd, httpd.fetch("3", path), path)


@pytest.mark.sanitize
@pytest.mark.parametrize("name", CGI)
@pytest.mark.parametrize("speed", ["fast", "slow"])
def test_invalid_field_of_a_cgi(httpd, name, speed):
    """Whatever of the body has come when the head is refused: it is not counted with the page."""
    path = "/cgi-bin/%s-%s.cgi" % (speed, name)
    with httpd.h3() as conn:
        answers = [conn.request("GET", path) for _ in range(1 if speed == "slow" else 10)]
    for response in answers:
        is_500(httpd, response, path)


def test_error_bucket_behind_bytes(httpd):
    response = httpd.fetch("3", "/odd?error_bucket")
    assert response.status == 502 and b"Bad Gateway" in response.body
    has_no_wrong_length(response)


@pytest.mark.sanitize
@pytest.mark.parametrize("handler", ["nothing", "huge_head", "control_byte", "filter_error"])
def test_error_document(httpd, handler):
    response = httpd.fetch("3", "/page?" + handler)
    assert response.status == 500 and b"the page for what is missing" in response.body
    has_no_wrong_length(response)
    assert logged(httpd, "/page?" + handler) == "500"


@pytest.mark.sanitize
@pytest.mark.parametrize("path, error", [("/again?nothing", "500"), ("/first/nothere", "404"),
                                         ("/redirected", None)])
def test_no_response_behind_a_redirect(httpd, path, error):
    """Of an ErrorDocument that is no better, of what another request was made into."""
    response = httpd.fetch("3", path)
    is_500(httpd, response, path)
    assert ("Additionally" in response.text) == (error is not None)


def test_answer_to_head(httpd):
    response = httpd.fetch("3", "/odd?nothing", "HEAD")
    assert response.status == 500 and response.body == b""
    assert logged(httpd, "/odd?nothing") == "500"


@pytest.mark.parametrize("handler", ["drops_connection", "end_of_connection"])
def test_no_answer_where_none_is_wanted(httpd, handler):
    """Over TCP the connection is closed without a byte."""
    with pytest.raises(StreamEnded):
        httpd.fetch("3", "/odd?" + handler)


@pytest.mark.parametrize("name, status", [("rubbish", 200), ("nothing", 502), ("inside", 502),
                                          ("control", 500)])
def test_unreadable_answer_of_a_backend(httpd, name, status):
    """As over HTTP/1.1: for mod_proxy what has no head at all is HTTP/0.9."""
    response = httpd.fetch("3", "/backend/" + name)
    assert response.status == status
    assert (b"what is this" if status == 200 else b"</html>") in response.body
