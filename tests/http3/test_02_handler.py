# SPDX-License-Identifier: Apache-2.0
"""What a handler, a filter, an expression and the logs see of an HTTP/3 request."""
import re

import pytest

from h3test import content
from h3test.h3conn import DATA, HEADERS, STREAM_ENCODER, frame
from h3test.response import ConnectionEnded, StreamEnded
from h3test.wait import until


@pytest.fixture(scope="module")
def httpd(make_httpd, backend):
    httpd = make_httpd(timeout=4)
    httpd.add('LogFormat "%H|%r|%>s|%b|%X|%a|%A|%p|%{local}p|%{SSL_PROTOCOL}x|%{SSL_CIPHER}x|'
              '%{HTTP3}e|%I|%O|%U" facts')
    httpd.add("CustomLog %s facts" % httpd.path("logs", "facts_log"))
    httpd.vhost(body="""
    SSLOptions +StdEnvVars
    <Location /facts>
        Header set X-Protocol "expr=%%{SERVER_PROTOCOL}"
        Header set X-Https "expr=%%{HTTPS}"
        Header set X-Scheme "expr=%%{REQUEST_SCHEME}"
        Header set X-Ssl "expr=%%{SSL_PROTOCOL}"
        Header set X-Ssl-Format "%%{SSL_TLS_SNI}s"
        Header set X-Http3 "%%{HTTP3}e"
    </Location>
    Alias /facts %(docs)s/small.txt
    RewriteEngine on
    RewriteCond %%{HTTPS} =on
    RewriteCond %%{SSL:SSL_PROTOCOL} =TLSv1.3
    RewriteCond %%{SERVER_PROTOCOL} =HTTP/3.0
    RewriteRule ^/which$ /small.txt [PT]
    <Directory %(docs)s/ssi>
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
    </Directory>
    LimitRequestBody 2000000
    # httpd drops a CGI's Content-Length otherwise, and nobody could tell that bytes are missing.
    SetEnvIf Request_URI /short.cgi ap_trust_cgilike_cl=1
    ProxyPass /backend/ http://127.0.0.1:%(backend)d/
    """ % {"docs": httpd.docs, "backend": backend.port})
    return httpd.start()


def cgi_env(response):
    return dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)


@pytest.mark.sanitize
def test_environment_of_a_cgi(httpd):
    with httpd.h3() as conn:
        env = cgi_env(conn.request("GET", "/cgi-bin/env.cgi?a=b", [("X-Some", "thing")]))
        second = cgi_env(conn.request("GET", "/cgi-bin/env.cgi"))
        local_port, cipher = conn.local_port, conn.quic.cipher
    assert env["SERVER_PROTOCOL"] == "HTTP/3.0"
    assert env["REQUEST_METHOD"] == "GET" and env["QUERY_STRING"] == "a=b"
    assert env["HTTP_HOST"] == "h3.test" and env["HTTP_X_SOME"] == "thing"
    assert env["HTTPS"] == "on" and env["REQUEST_SCHEME"] == "https"
    assert env["SERVER_NAME"] == "h3.test" and env["SERVER_ADDR"] == "127.0.0.1"
    assert env["REMOTE_ADDR"] == "127.0.0.1" and env["REMOTE_PORT"] == str(local_port)
    assert env["HTTP3"] == "on"
    assert env["H3_STREAM_ID"] == "0" and second["H3_STREAM_ID"] == "4"
    assert env["H3_CONN_ID"] and env["H3_CONN_ID"] == second["H3_CONN_ID"]
    assert env["SSL_PROTOCOL"] == "TLSv1.3"
    assert env["SSL_CIPHER"] == "TLS_" + cipher
    assert env["SSL_TLS_SNI"] == "h3.test" and env["SSL_SESSION_RESUMED"] == "Initial"
    assert "HTTP2" not in env and not [n for n in env if n.startswith("H2_")]


def test_same_environment_as_over_tcp(httpd):
    """What a CGI sees beside what belongs to the protocol is as over HTTP/1.1."""
    over_tcp = cgi_env(httpd.fetch("1.1", "/cgi-bin/env.cgi", tls13=True))
    over_quic = cgi_env(httpd.fetch("3", "/cgi-bin/env.cgi"))
    own = {"REMOTE_PORT", "SERVER_PROTOCOL", "UNIQUE_ID", "HTTP3", "H3_STREAM_ID", "H3_CONN_ID",
           # of a TLS session, and of what OpenSSL alone can say; of renegotiation, which TLS 1.3
           # does not have, its versions say different things
           "SSL_SESSION_ID", "SSL_CIPHER", "SSL_VERSION_LIBRARY", "SSL_SECURE_RENEG"}
    assert {n: v for n, v in over_tcp.items() if n not in own} == \
        {n: v for n, v in over_quic.items() if n not in own}
    assert over_tcp["UNIQUE_ID"] != over_quic["UNIQUE_ID"]


def test_resumed_session(httpd):
    with httpd.h3() as conn:
        conn.request("GET", "/small.txt")
        conn.wait(lambda: conn.tickets)
        ticket = conn.tickets[-1]
    with httpd.h3(ticket=ticket) as conn:
        assert conn.handshake.session_resumed
        env = cgi_env(conn.request("GET", "/cgi-bin/env.cgi"))
    assert env["SSL_SESSION_RESUMED"] == "Resumed" and env["SSL_PROTOCOL"] == "TLSv1.3"


@pytest.fixture(scope="module")
def variables(make_httpd):
    """A server that looks at HTTP3 wherever a variable can be looked at."""
    httpd = make_httpd(modules=["asis"])
    httpd.add('LogFormat "%>s %U %{HTTP3}e %{H3_CONN_ID}e %{H3_STREAM_ID}e" variables')
    httpd.add('CustomLog %s variables "expr=%%{reqenv:HTTP3} == \'on\'"' % httpd.path(
        "logs", "variables_log"))
    httpd.add("CustomLog %s variables env=HTTP3" % httpd.path("logs", "by_env_log"))
    httpd.add("CustomLog %s variables env=!HTTP3" % httpd.path("logs", "others_log"))
    content.write(httpd.path("htdocs/files/index.html"), "an index\n")
    httpd.vhost(body="""
    Redirect /away https://h3.test/
    AddLanguage en .en
    AddLanguage de .de
    SetEnvIf HTTP3 ^on$ SEEN_BY_SETENVIF=yes
    RewriteEngine on
    RewriteCond %%{ENV:HTTP3} =on
    RewriteRule ^/rewritten$ /small.txt [PT,E=SEEN_BY_REWRITE:yes]
    <Location /small.txt>
        Header set X-Rewrite "%%{SEEN_BY_REWRITE}e" env=SEEN_BY_REWRITE
        Header set X-Setenvif "%%{SEEN_BY_SETENVIF}e"
    </Location>
    <Location /only>
        Require env SEEN_BY_SETENVIF
    </Location>
    <Location /denied>
        Require all denied
    </Location>
    <Location /gone>
        Require all denied
        ErrorDocument 403 /cgi-bin/env.cgi
    </Location>
    <Location /typed>
        AllowMethods POST
    </Location>
    Alias /typed %(docs)s/small.txt
    Alias /only %(docs)s/small.txt
    <Directory %(docs)s/ssi>
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
    </Directory>
    """ % {"docs": httpd.docs})
    return httpd.start()


@pytest.mark.sanitize
@pytest.mark.parametrize("status, method, path, fields", [
    (302, "GET", "/away", []), (401, "GET", "/private/", []), (403, "GET", "/denied", []),
    (404, "GET", "/nothere", []), (405, "GET", "/typed", []), (200, "TRACE", "/small.txt", []),
    (406, "GET", "/negotiate/page.html", [("accept", "image/png")]),
    (414, "GET", "/" + "a" * 9000, []),
    (400, "GET", "/%2f%zz", []), (400, "GET", "/small.txt", [("host", "other.test")]),
    (200, "GET", "/only", []), (200, "GET", "/files/", [])])
def test_variables_of_each_answer(variables, status, method, path, fields):
    """Also where nothing but the log ever sees the request."""
    before = {name: len(httpd_log(variables, name)) for name in ("variables", "by_env", "others")}
    with variables.h3() as conn:
        answer = conn.request(method, path, fields)
        until(lambda: conn.pump(0.02) or len(httpd_log(variables, "variables"))
              > before["variables"], 10, "its line")
    assert answer.status == status
    line = httpd_log(variables, "variables")[-1].split()
    assert line[0] == str(answer.status)
    assert line[2] == "on" and re.fullmatch(r"[0-9a-f]{8,}", line[3]) and line[4] == "0"
    assert len(httpd_log(variables, "by_env")) == before["by_env"] + 1
    assert len(httpd_log(variables, "others")) == before["others"]


def httpd_log(httpd, name):
    with open(httpd.path("logs", name + "_log")) as file:
        return file.read().splitlines()


@pytest.mark.sanitize
def test_variables_for_modules_and_scripts(variables):
    answer = variables.fetch("3", "/rewritten")
    assert (answer.body, answer.get("x-rewrite")) == (content.SMALL, "yes")
    assert answer.get("x-setenvif") == "yes"
    env = cgi_env(variables.fetch("3", "/gone"))    # an internal redirect: an environment anew
    assert env["HTTP3"] == env["REDIRECT_HTTP3"] == "on"
    assert env["H3_CONN_ID"] == env["REDIRECT_H3_CONN_ID"] and env["H3_STREAM_ID"] == "0"
    for version in ("1.1", "2"):
        assert variables.fetch(version, "/rewritten").status == 404
        assert variables.fetch(version, "/only").status == 403
        assert "HTTP3" not in cgi_env(variables.fetch(version, "/gone"))


@pytest.mark.sanitize
def test_expressions(httpd):
    answer = httpd.fetch("3", "/facts")
    assert answer.get("x-protocol") == "HTTP/3.0"
    assert answer.get("x-https") == "on" and answer.get("x-scheme") == "https"
    assert answer.get("x-ssl") == "TLSv1.3"
    assert answer.get("x-ssl-format") == "h3.test" and answer.get("x-http3") == "on"


def test_rewrite_conditions(httpd):
    assert httpd.fetch("3", "/which").status == 200
    assert httpd.fetch("1.1", "/which").status == 404


def test_include_sees_http3(httpd):
    text = httpd.fetch("3", "/ssi/page.shtml").text
    assert "protocol=HTTP/3.0\n" in text and "https=on\n" in text
    assert content.SMALL.decode() in text
    # A subrequest's CGI says INCLUDED, as over every protocol.
    assert text.endswith("cgi=INCLUDED\nend\n"), text


def facts(httpd, path):
    def found():
        lines = [line.split("|") for line in httpd.read("logs", "facts_log").splitlines()]
        return [f for f in lines if f[-1] == path]
    return until(found, 10, "a line for %s in the log" % path)


@pytest.mark.sanitize
def test_access_log(httpd):
    with httpd.h3() as conn:
        conn.request("POST", "/cgi-bin/sha256.cgi/logged", body=b"y" * 5000)
        conn.request("GET", "/small.txt/nope")
    line = facts(httpd, "/cgi-bin/sha256.cgi/logged")[0]
    assert line[0] == "HTTP/3.0"
    assert line[1] == "POST /cgi-bin/sha256.cgi/logged HTTP/3.0"
    assert line[2] == "200" and int(line[3]) == 68
    assert line[5:7] == ["127.0.0.1", "127.0.0.1"]
    assert line[8] == str(httpd.port)
    assert line[9] == "TLSv1.3" and line[10].startswith(("TLS_AES", "TLS_CHACHA"))
    assert line[11] == "on"
    assert int(line[12]) >= 5000 and int(line[13]) >= 68
    assert facts(httpd, "/small.txt/nope")[0][2] == "404"


def test_log_line_comes_after_the_last_byte(httpd):
    """%O and %b are those of what was sent."""
    answer = httpd.fetch("3", "/large.bin")
    line = facts(httpd, "/large.bin")[0]
    assert int(line[3]) == len(answer.body) and int(line[13]) >= len(answer.body)


@pytest.mark.sanitize
def test_suspended_request(fresh_httpd):
    """What its handler has flushed arrives, the end of the response too, although the request
    ends later, on a thread of the MPM (which runs its timers when TCP wakes it)."""
    httpd = fresh_httpd(modules=("dialup",))
    httpd.vhost(body="Alias /modem %s\n<Location /modem>\nModemStandard V.92\n</Location>"
                % httpd.docs).start()
    with httpd.h3() as conn:
        assert conn.request("GET", "/modem/small.txt").body == content.SMALL
        until(lambda: conn.pump(0.1) or httpd.gauge("Requests") == 0, 30, "the request ends")
    until(lambda: '"GET /modem/small.txt HTTP/3.0" 200 13 ' in httpd.access(), 10, "its line")


def test_server_status(httpd):
    before = int(httpd.status()["Total Accesses"])
    with httpd.h3() as conn:
        for _ in range(5):
            conn.request("GET", "/small.txt")
    # Counted with the log line, after the client's last acknowledgement.
    until(lambda: int(httpd.status()["Total Accesses"]) >= before + 5, 10, "5 requests counted")


def test_request_in_progress_is_in_server_status(httpd):
    with httpd.h3() as conn:
        conn.open("GET", "/cgi-bin/wait.cgi?2")
        conn.pump(0.3)
        httpd.wait_gauges(Requests=1)
        with httpd.h1(tls=False, sni="status.test") as status:
            page = status.request("GET", "/server-status").text
        assert "/cgi-bin/wait.cgi?2" in page


@pytest.mark.sanitize
def test_body_larger_than_the_limit(httpd):
    """LimitRequestBody is core's: 413, whether the length is said or found."""
    with httpd.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/sha256.cgi", [("content-length", "3000000")],
                           end_stream=False)
        assert stream.wait_head().status == 413
        stream = conn.open("POST", "/cgi-bin/sha256.cgi", end_stream=False)
        stream.send_body([b"x" * 16384] * 200)
        assert stream.wait_head().status == 413
        assert conn.request("GET", "/small.txt").status == 200


def test_slow_body_times_out(httpd):
    """A client that stops in the middle of its body holds a worker at most for Timeout."""
    httpd.wait_gauges(Requests=0)
    with httpd.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/sha256.cgi", [("content-length", "1000")],
                           end_stream=False)
        stream.send(b"half")
        conn.wait(lambda: httpd.gauge("Requests") == 1)
        conn.wait(lambda: stream.done or stream.response.status is not None, 20)
        assert stream.response.status != 200
        # A request is over when the client has all of it: its acknowledgements count.
        conn.wait(lambda: httpd.gauge("Requests") == 0)


@pytest.mark.sanitize
def test_response_cut_short_is_reset(httpd):
    """Never a clean end where bytes are missing."""
    with httpd.h3() as conn:
        for path in ("/backend/short", "/cgi-bin/short.cgi"):
            stream = conn.open("GET", path)
            with pytest.raises(StreamEnded):
                stream.finish()
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
@pytest.mark.parametrize("window", [1 << 14, 1 << 22])
@pytest.mark.parametrize("path", ["/large.bin", "/cgi-bin/endless.cgi"])
def test_response_that_is_not_wanted(httpd, path, window):
    """STOP_SENDING is answered with RESET_STREAM (RFC 9000 section 3.5), also where the stream is
    blocked; the request ends, and the connection goes on."""
    httpd.wait_gauges(Requests=0)
    with httpd.h3(max_stream_data=window) as conn:
        stream = conn.open("GET", path)
        conn.quic.hold_credit = True
        conn.wait(lambda: stream.received > 10000)
        stream.stop_sending(0x10c)
        conn.wait(lambda: stream.done)
        assert stream.reset_code == 0x10c
        conn.wait(lambda: httpd.gauge("Requests") == 0, 3)
        conn.quic.hold_credit = False
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
@pytest.mark.parametrize("length_said", [True, False])
def test_request_cut_short_never_reaches_the_backend_whole(httpd, backend, length_said):
    """A reset before the end of a body is an error that ends the backend's connection."""
    backend.clear()
    fields = [("content-length", "100000")] if length_said else []
    with httpd.h3() as conn:
        stream = conn.open("POST", "/backend/partial", fields, end_stream=False)
        stream.send(b"z" * 50000)
        conn.pump(0.3)
        stream.reset()
        assert conn.request("GET", "/small.txt").status == 200
    httpd.wait_gauges(Requests=0, Streams=0)
    assert not any(s.path == "/partial" and s.whole for s in backend.seen)


def outcome(stream):
    """The status of a whole answer, None where stream or connection ended before it."""
    try:
        return stream.finish(10).status
    except (StreamEnded, ConnectionEnded):
        return None


def test_more_body_than_content_length_says(httpd, backend):
    """RFC 9114 section 4.1.2: malformed. Never do bytes of one body become another request."""
    backend.clear()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with httpd.h3() as conn:
        stream = conn.open("POST", "/backend/smuggle", [("content-length", "4")],
                           end_stream=False)
        stream.send(b"four" + smuggled, end=True)
        assert outcome(stream) in (None, 400)
    assert not [s for s in backend.seen if "smuggled" in s.line]


def test_less_body_than_content_length_says(httpd, backend):
    backend.clear()
    with httpd.h3() as conn:
        stream = conn.open("POST", "/backend/smuggle", [("content-length", "10")],
                           end_stream=False)
        stream.send(b"four", end=True)
        assert outcome(stream) in (None, 400)
    assert not any(s.path == "/smuggle" and s.whole for s in backend.seen)


def test_long_fields(httpd):
    """A head of several packets comes whole, there and back."""
    fields = [("X-Long-%d" % i, "v" * 3000) for i in range(2)]
    answer = httpd.fetch("3", "/cgi-bin/env.cgi", fields=fields)
    assert answer.status == 200 and "HTTP_X_LONG_1=" + "v" * 3000 in answer.text


@pytest.mark.sanitize
def test_frames_of_a_response(httpd):
    """HEADERS, then DATA; nothing of the server's own between them."""
    with httpd.h3() as conn:
        stream = conn.open("GET", "/large.bin")
        stream.finish()
        kinds = [kind for kind, _ in stream.frames]
    assert kinds[0] == HEADERS and set(kinds[1:]) == {DATA}
    assert sum(length for kind, length in stream.frames if kind == DATA) == len(content.LARGE)


@pytest.mark.sanitize
def test_unknown_frames_and_streams_are_ignored(httpd):
    """RFC 9114 section 9: grease of every sort."""
    with httpd.h3() as conn:
        conn.send_control(frame(0x21, b"grease"))
        conn.open_uni(0x1f * 7 + 0x21, b"grease stream")
        stream = conn.open_stream()
        head = conn.encode(stream.id, conn.head("POST", "/cgi-bin/echo.cgi"))
        stream.raw(frame(0x40, b"before") + frame(HEADERS, head) + frame(0x21, b"between")
                   + frame(DATA, b"one ") + frame(0x42, b"") + frame(DATA, b"two")
                   + frame(0x21, b"x" * 3000), end=True)
        assert stream.finish().body == b"one two"


@pytest.mark.sanitize
def test_settings_and_transport_parameters(httpd):
    with httpd.h3() as conn:
        conn.wait(lambda: conn.peer_settings is not None)
        parameters = conn.quic.peer_parameters
        assert conn.peer_settings.get(1, 0) >= 4096 and conn.peer_settings.get(7, 0) > 0
        assert 0 < conn.peer_settings.get(6, 1 << 62) < 1 << 20
    assert parameters.initial_max_streams_bidi == 100
    assert parameters.initial_max_stream_data_bidi_remote == 256 * 1024
    assert parameters.initial_max_data == 1024 * 1024
    assert parameters.max_idle_timeout == 30000
    assert parameters.initial_max_streams_uni >= 3
    assert parameters.active_connection_id_limit >= 2


def test_dynamic_table_both_ways(httpd):
    """A field sent often costs a few bytes: the tables of QPACK are in use in both directions."""
    fields = [("x-long-name-of-a-field", "v" * 200), ("cookie", "session=" + "c" * 200)]
    with httpd.h3() as conn:
        conn.wait(lambda: conn.peer_settings is not None)
        sizes, before = [], 0
        for _ in range(6):
            stream = conn.open_stream()
            block = conn.encode(stream.id, conn.head("GET", "/facts", fields))
            stream.raw(frame(HEADERS, block), end=True)
            assert stream.finish().status == 200
            inserted = conn.uni_bytes.get(STREAM_ENCODER, 0)
            sizes.append((len(block), stream.frames[0][1] + inserted - before))
            before = inserted
            conn.ping()
        assert sizes[-1][0] < 40 < 300 < sizes[0][0], sizes
        # The server inserts and refers at once: what counts is both streams together.
        assert before > 50, "no dynamic table in the server's encoder"
        assert sizes[-1][1] < sizes[0][1] - 50, sizes


def test_cookie_crumbs_are_joined(httpd):
    """RFC 9114 section 4.2.1."""
    answer = httpd.fetch("3", "/cgi-bin/env.cgi", fields=[("cookie", "a=1"), ("cookie", "b=2")])
    assert cgi_env(answer)["HTTP_COOKIE"] == "a=1; b=2"


def test_repeated_fields_are_joined(httpd):
    answer = httpd.fetch("3", "/cgi-bin/env.cgi", fields=[("x-list", "1"), ("x-list", "2")])
    assert cgi_env(answer)["HTTP_X_LIST"] == "1, 2"


@pytest.mark.sanitize
def test_key_update(httpd):
    with httpd.h3() as conn:
        for _ in range(3):
            assert conn.request("GET", "/small.txt").status == 200
            conn.quic.request_key_update()
            conn.ping()
        assert conn.request("GET", "/large.bin").body == content.LARGE


@pytest.mark.sanitize
def test_rebinding_in_the_middle_of_a_download(httpd):
    """The client's port changes, as behind a NAT; path validation, and the download goes on."""
    with httpd.h3() as conn:
        stream = conn.open("GET", "/large.bin")
        conn.wait(lambda: stream.received > 100000)
        conn.rebind().close()
        # A NAT rebinds because of what the client sends; a client that only listens is not found.
        conn.quic.send_ping(1)
        assert stream.finish().body == content.LARGE
        conn.rebind().close()
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.sanitize
def test_every_connection_id_works(httpd):
    with httpd.h3() as conn:
        conn.wait(lambda: len(conn.quic.peer_ids) >= 2)
        for cid, token in conn.quic.peer_ids[1:]:
            assert token and token != bytes(16)
            conn.quic.use_peer_id(cid)
            conn.ping()
        assert len({token for _, token in conn.quic.peer_ids}) == len(conn.quic.peer_ids)
        old = conn.quic.peer_ids[0][0]
        conn.quic.change_connection_id()
        conn.ping()
        assert old not in [cid for cid, _ in conn.quic.peer_ids]
        assert conn.request("GET", "/small.txt").status == 200


def test_loss_both_ways(httpd):
    """Every tenth datagram is lost in each direction."""
    import random
    lose = random.Random(7)
    with httpd.h3() as conn:
        conn.transport.on_send = lambda d: None if lose.random() < 0.1 else d
        conn.transport.on_receive = conn.transport.on_send
        assert conn.request("GET", "/large.bin", timeout=60).body == content.LARGE
        body = content.LARGE[:300000]
        assert conn.request("POST", "/cgi-bin/echo.cgi", body=body[:30000],
                            timeout=60).body == body[:30000]
        conn.transport.on_send = None   # or the CONNECTION_CLOSE is lost too


def test_loss_in_the_handshake(httpd):
    """The first datagram of each side is lost."""
    lost = {"sent": 0, "received": 0}

    def lose(kind):
        def hook(datagram):
            lost[kind] += 1
            return None if lost[kind] == 1 else datagram
        return hook

    conn = httpd.h3(connect=False)
    conn.transport.on_send, conn.transport.on_receive = lose("sent"), lose("received")
    with conn:
        conn.connect()
        assert conn.request("GET", "/small.txt").body == content.SMALL


def test_story_in_the_log(httpd):
    """LogLevel http3:debug tells a connection's life in a dozen lines."""
    httpd.wait_gauges(Connections=0)
    before = len(httpd.log())
    with httpd.h3() as conn:
        conn.request("GET", "/small.txt")
        port = conn.local_port
    httpd.wait_gauges(Connections=0)
    lines = [line for line in httpd.log()[before:].splitlines() if "[http3:" in line]
    assert 2 <= len(lines) <= 14, lines
    assert any(str(port) in line for line in lines)
    assert not [line for line in lines if re.search(r"\[http3:(error|crit|alert|emerg)", line)]
