# SPDX-License-Identifier: Apache-2.0
"""AltSvc auto: what mod_http3 really serves, on the port that is really open, and nothing else."""
import os
import re
import signal

import pytest

from h3test import content
from h3test.response import ConnectionEnded
from h3test.wait import until

VERSIONS = ("1.1", "2", "3")


def value_of(httpd, version="2", **options):
    return httpd.fetch(version, "/small.txt", **options).get_all("alt-svc")


def serving(httpd, **options):
    """Until a child serves QUIC: not before does anything say so."""
    until(lambda: value_of(httpd, **options), 20, "HTTP/3 is advertised")
    return httpd


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(altsvc=True)
    httpd.other_port, httpd.lone_port = httpd.new_port(), httpd.new_port()
    httpd.add("AltSvc auto\nAltSvcMaxAge 300\n"
              "Listen %d\nListen %d" % (httpd.other_port, httpd.lone_port))
    httpd.vhost("h3.test")
    httpd.vhost("tcp.h3.test", protocols="h2 http/1.1")
    httpd.vhost("mapped.h3.test", "AltSvcPort 443\nAltSvcHost edge.h3.test\nAltSvcPersist on")
    httpd.vhost("more.h3.test", "AltSvc h3=\"near.h3.test:1\";ma=5 auto h2=\"far.h3.test:2\"")
    httpd.vhost("frame.h3.test", "AltSvcMode frame\nAltSvcOrigins h3.test tcp.h3.test")
    httpd.vhost("other.h3.test", port=httpd.other_port)
    httpd.vhost("lone.h3.test", port=httpd.lone_port, protocols="h2 http/1.1")
    return serving(httpd.start(), sni="h3.test")


def auto(port, host=""):
    return 'h3="%s:%d"; ma=300' % (host, port)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_port_that_is_open(httpd, version):
    assert value_of(httpd, version, sni="h3.test") == [auto(httpd.port)]
    assert value_of(httpd, version, sni="other.h3.test", port=httpd.other_port) == [
        auto(httpd.other_port)]


@pytest.mark.parametrize("version", ("1.1", "2"))
def test_nothing_for_a_virtual_host_without_http3(httpd, version):
    assert value_of(httpd, version, sni="tcp.h3.test") == []
    assert value_of(httpd, version, sni="lone.h3.test", port=httpd.lone_port) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_outside_calls(httpd, version):
    assert value_of(httpd, version, sni="mapped.h3.test") == [
        'h3="edge.h3.test:443"; ma=300; persist=1']


@pytest.mark.parametrize("version", VERSIONS)
def test_among_other_alternatives(httpd, version):
    assert value_of(httpd, version, sni="more.h3.test") == [
        'h3="near.h3.test:1"; ma=5, %s, h2="far.h3.test:2"; ma=300' % auto(httpd.port)]


def test_by_frame(httpd):
    with httpd.h2(sni="frame.h3.test") as conn:
        assert conn.request("GET", "/small.txt").get("alt-svc") is None
    assert conn.altsvc == [("https://%s:%d" % (name, httpd.port), auto(httpd.port))
                           for name in ("frame.h3.test", "h3.test")]
    for version in ("1.1", "3"):
        assert value_of(httpd, version, sni="frame.h3.test") == [auto(httpd.port)]


def test_errors_over_every_protocol(httpd):
    for version in VERSIONS:
        for path in ("/nothing-here", "/dir", "/%zz"):
            response = httpd.fetch(version, path)
            assert response.status >= 300
            assert response.get_all("alt-svc") == [auto(httpd.port)], (version, path)


def test_never_before_it_is_served(make_httpd):
    """From the first answer on it is nothing or the truth; the first that says it can be believed
    at once."""
    for _ in range(5):
        httpd = make_httpd(altsvc=True)
        httpd.vhost("h3.test", "AltSvc auto")
        httpd.start()
        said = until(lambda: value_of(httpd, "1.1"), 20, "HTTP/3 is advertised")
        assert httpd.fetch("3", "/small.txt", timeout=3).status == 200
        assert said == ['h3=":%d"; ma=86400' % httpd.port]
        httpd.stop()


def test_other_sockets_than_tcp(make_httpd):
    """H3Listen opens another port instead; the alternative is that one."""
    httpd = make_httpd(altsvc=True)
    udp = httpd.new_port()
    httpd.add("H3Listen %d %d" % (udp, httpd.port))
    httpd.vhost("h3.test", "AltSvc auto\nAltSvcMaxAge 300")
    serving(httpd.start())
    assert value_of(httpd, "1.1") == [auto(udp)]
    assert value_of(httpd, "3", port=udp) == [auto(udp)]


def test_a_restart_that_takes_it_away(make_httpd):
    """Header and frame follow the configuration: first a value, then another, clear, nothing."""
    httpd = make_httpd(altsvc=True)
    include = httpd.path("conf", "value")

    def say(text):
        with open(include, "w") as file:
            file.write(text)
    say("AltSvc auto\nProtocols h3 h2 http/1.1\n")
    httpd.vhost("h3.test", "Include %s" % include, protocols=False)
    httpd.vhost("frame.h3.test", "Include %s\nAltSvcMode frame" % include, protocols=False)
    serving(httpd.start())

    def all_say(value, versions=("1.1", "2", "3")):
        for version in versions:
            assert value_of(httpd, version) == ([value] if value else [])
        with httpd.h2(sni="frame.h3.test") as conn:
            assert conn.request("GET", "/small.txt").get_all("alt-svc") == []
            assert [v for _, v in conn.altsvc] == ([value] if value else [])
    all_say('h3=":%d"; ma=86400' % httpd.port)
    say("AltSvc auto\nAltSvcPort 443\nProtocols h3 h2 http/1.1\n")
    httpd.graceful()
    until(lambda: value_of(httpd) == ['h3=":443"; ma=86400'], 20, "the new value")
    all_say('h3=":443"; ma=86400')
    say("AltSvc clear\nProtocols h3 h2 http/1.1\n")
    httpd.graceful()
    until(lambda: value_of(httpd) == ["clear"], 20, "clear")
    all_say("clear")
    say("AltSvc auto\nProtocols h2 http/1.1\n")
    httpd.graceful()
    until(lambda: value_of(httpd) == [], 20, "nothing")
    all_say(None, ("1.1", "2"))
    with pytest.raises((TimeoutError, ConnectionEnded)):
        httpd.fetch("3", "/small.txt", timeout=2)


def test_prefork_has_no_http3_to_advertise(make_httpd):
    httpd = make_httpd(altsvc=True, mpm="prefork", without=("http2",), protocols="h3 http/1.1")
    httpd.vhost("h3.test", "AltSvc auto")
    httpd.vhost("hand.h3.test", "AltSvc h3=\"edge.h3.test:443\"")
    httpd.start()
    for _ in range(5):
        assert value_of(httpd, "1.1") == []
        assert value_of(httpd, "1.1", sni="hand.h3.test") == ['h3="edge.h3.test:443"; ma=86400']


@pytest.mark.parametrize("mpm", ("event", "worker"))
@pytest.mark.parametrize("order", ("before", "after"))
def test_load_order_and_mpm(make_httpd, mpm, order):
    httpd = make_httpd(altsvc=True, mpm=mpm, order=order)
    httpd.vhost("h3.test", "AltSvc auto")
    httpd.vhost("frame.h3.test", "AltSvc auto\nAltSvcMode frame")
    serving(httpd.start())
    value = 'h3=":%d"; ma=86400' % httpd.port
    for version in VERSIONS:
        assert value_of(httpd, version) == [value]
    with httpd.h2(sni="frame.h3.test") as conn:
        assert conn.request("GET", "/small.txt").get("alt-svc") is None
    assert conn.altsvc == [("https://frame.h3.test:%d" % httpd.port, value)]


@pytest.mark.parametrize("order", ("before", "after"))
def test_the_report_of_both_modules(make_httpd, order):
    """mod_http3 first, whichever was loaded first, and no section twice."""
    httpd = make_httpd(altsvc=True, order=order)
    httpd.add("AltSvc auto")
    httpd.vhost("h3.test", aliases=("www.h3.test",))
    httpd.vhost("tcp.h3.test", protocols="h2 http/1.1")
    httpd.vhost("mapped.h3.test:443", "AltSvcPort 8443")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0
    headings = re.findall(r"^\S.*\(mod_\w+\).*:$", output, re.M)
    assert headings[-1] == "Alternative services (mod_altsvc), over TLS only:"
    assert len(set(headings)) == len(headings) > 1
    text = output[output.index(headings[-1]):]
    port = httpd.port
    for line in ('    Alt-Svc: h3=":%d"; ma=86400' % port,
                 '    DNS: _%d._https.h3.test. 3600 IN HTTPS 1 h3.test. alpn="h3,h2"' % port,
                 '    DNS: _%d._https.www.h3.test. 3600 IN HTTPS 1 www.h3.test. '
                 'alpn="h3,h2"' % port,
                 "    Alt-Svc: nothing (no h3 in its Protocols)",
                 '    DNS: _%d._https.tcp.h3.test. 3600 IN HTTPS 1 tcp.h3.test. alpn="h2"' % port,
                 '    Alt-Svc: h3=":8443"; ma=86400',
                 '    DNS: mapped.h3.test. 3600 IN HTTPS 1 . alpn="h3" port=8443 no-default-alpn',
                 '    DNS: mapped.h3.test. 3600 IN HTTPS 2 . alpn="h2"'):
        assert line + "\n" in text, line


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("own", [("http3", "altsvc"), ("altsvc", "http3"), ("http3",),
                                 ("altsvc",)])
def test_the_report_without_t(make_httpd, order, own):
    """-D DUMP_HTTP3 alone prints what it prints with -t, and ends: it starts and stops nothing."""
    httpd = make_httpd(altsvc=True, order=order)
    httpd.conf.own = own
    httpd.vhost("h3.test", "AltSvc auto" if "altsvc" in own else "")
    code, expected = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0 and ("HTTP/3 sockets (mod_http3)" in expected) == ("http3" in own)
    assert ("Alternative services (mod_altsvc)" in expected) == ("altsvc" in own)
    for more in (), ("-DFOREGROUND",), ("-X",), ("-k", "start"), ("-k", "graceful"):
        code, output = httpd.command("-D", "DUMP_HTTP3", *more)
        if os.path.exists(httpd.pid_file):
            os.kill(httpd.parent, signal.SIGTERM)   # it has gone to the background
        assert (code, output + "Syntax OK\n") == (0, re.sub(r"^\[.*\n", "", expected))
        assert not os.path.exists(httpd.pid_file) and not os.path.exists(httpd.error_log)
    # A server that was started so without the modules must not end when they come.
    httpd.conf.own = []
    httpd.conf.replace("AltSvc auto", "<IfModule altsvc_module>\nAltSvc auto\n</IfModule>")
    httpd.start("-D", "DUMP_HTTP3")
    httpd.conf.own = own
    httpd.graceful()
    assert httpd.fetch("1.1", "/small.txt").status == 200


def test_the_report_of_http3_that_nobody_is_told_of(make_httpd):
    """No AltSvc directive where HTTP/3 is on; and no mod_altsvc at all."""
    httpd = make_httpd(altsvc=True)
    httpd.vhost("silent.h3.test").vhost("tcp.h3.test", protocols="h2 http/1.1")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0 and "mod_altsvc is not loaded" not in output
    text = output[output.index("Alternative services"):]
    assert re.search(r"  silent\.h3\.test:%d \(.*\)\n    Alt-Svc: nothing \(no AltSvc directive, "
                     r"though HTTP/3 is on\)\n" % httpd.port, text), output
    assert "tcp.h3.test" not in text
    httpd = make_httpd()
    httpd.vhost("h3.test")
    assert "  warning: mod_altsvc is not loaded" in httpd.configtest("-D", "DUMP_HTTP3")[1]


def test_a_server_that_stops_gracefully_says_nothing(make_httpd):
    """It still answers over TCP what it has begun, while no child accepts QUIC any more."""
    httpd = make_httpd(altsvc=True)
    httpd.vhost("h3.test", "AltSvc auto")
    begun = httpd.path("begun")
    os.mkdir(begun)
    os.chmod(begun, 0o777)
    content.write(httpd.path("cgi-bin", "held.cgi"),
                  "#!/bin/sh\n: > %s/$$\nwhile [ ! -e %s/go ]; do sleep 0.05; done\n"
                  "echo 'Content-Type: text/plain'; echo\n" % (begun, begun), 0o755)
    serving(httpd.start())
    with httpd.h1() as conn:
        assert conn.request("GET", "/small.txt").get_all("alt-svc") != []
        conn.raw(b"GET /cgi-bin/held.cgi HTTP/1.1\r\nHost: h3.test\r\n\r\n")
        until(lambda: os.listdir(begun), 10, "the script runs")
        httpd.graceful_stop()
        httpd.wait_log("child stops: ")
        content.write(os.path.join(begun, "go"), "")
        response = conn.read_response()
    assert (response.status, response.get_all("alt-svc")) == (200, [])
    httpd.wait_stopped()


def test_host_instead_of_authority(httpd):
    """What a gateway sends that translates from HTTP/1.1 (RFC 9114 section 4.3.1)."""
    with httpd.h3(sni="h3.test") as conn:
        head = [(":method", "GET"), (":scheme", "https"), (":path", "/small.txt"),
                ("host", "h3.test")]
        assert conn.request(head=head).get_all("alt-svc") == [auto(httpd.port)]
