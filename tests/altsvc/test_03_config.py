# SPDX-License-Identifier: Apache-2.0
"""What configtest says: each mistake in its own words with file and line, warnings about what has
no effect, and the report of -D DUMP_HTTP3."""
import os
import re

import pytest

from h3test.wait import until

MANUAL = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "mod_altsvc.md")

MISTAKES = [
    ("AltSvc", "AltSvc needs auto, off, clear or alternatives such as h3=\":443\""),
    ("AltSvc on", "AltSvc: after the protocol 'on' comes an equals sign"),
    ("AltSvc auto auto", "AltSvc: auto is there twice"),
    ("AltSvc auto off", "AltSvc: off stands alone"),
    ("AltSvc clear auto", "AltSvc: clear stands alone"),
    ("AltSvc off clear", "AltSvc: off stands alone"),
    ("AltSvc 'h3=\":443\", clear'", "AltSvc: clear stands alone, without alternatives"),
    ("AltSvc ' '", "AltSvc: expected a protocol such as h3 at the end"),
    ("AltSvc http/1.1=\":443\"",
     "AltSvc: in the protocol after 'http' the octet '/' must be written as %2F"),
    ("AltSvc x%2f=\":443\"",
     "AltSvc: the protocol 'x%2f' needs two digits 0-9 or A-F after each percent sign"),
    ("AltSvc %683=\":443\"", "AltSvc: in the protocol '%683' the octet %68 must not be escaped"),
    ("AltSvc h3=:443", "AltSvc: after h3= comes [host]:port in double quotes, not ':443'"),
    ("AltSvc h3=\":443", "AltSvc: a quoted string has no closing quote"),
    ("AltSvc h3=\"443\"",
     "AltSvc: '443' has no port: it must read \":port\" or \"host:port\""),
    ("AltSvc h3=\":0\"", "AltSvc: the port '0' is not a number from 1 to 65535"),
    ("AltSvc h3=\":65536\"", "AltSvc: the port '65536' is not a number from 1 to 65535"),
    ("AltSvc h3=\"a..b:443\"", "AltSvc: 'a..b' is no host name"),
    ("AltSvc h3=\"1.2.3.456:443\"", "AltSvc: '1.2.3.456' is no IPv4 address"),
    ("AltSvc h3=\"::1:443\"", "AltSvc: the IPv6 address '::1' needs brackets"),
    ("AltSvc h3=\"[::g]:443\"", "AltSvc: '[::g]' is no IPv6 address in brackets"),
    ("AltSvc h3=\":443\";ma=1d", "AltSvc: ma '1d' is not a number from 1 to 2147483647"),
    ("AltSvc h3=\":443\";ma=0", "AltSvc: ma '0' is not a number from 1 to 2147483647"),
    ("AltSvc h3=\":443\";ma=1;ma=2", "AltSvc: the parameter ma is there twice"),
    ("AltSvc h3=\":443\";persist=2", "AltSvc: persist can only be 1; leave it out for no"),
    ("AltSvc h3=\":443\";persist=1;persist=1", "AltSvc: the parameter persist is there twice"),
    ("AltSvc h3=\":443\";max-age=5",
     "AltSvc: the parameter 'max-age' is not known; there are ma and persist"),
    ("AltSvc 'h3=\":443\" ma=5'",
     "AltSvc: 'ma=5' stands where a semicolon, a comma or the end should be"),
    ("AltSvc %s" % " ".join("h3=\":%d\"" % i for i in range(1, 65)),
     "AltSvc has too many arguments; join them with commas"),
    ("AltSvc %s" % ",".join("h3=\"a%d.example.org:443\"" % i for i in range(200)),
     "AltSvc: the value is longer than 4096 octets"),
    ("<Location /x>\n    AltSvc auto\n</Location>",
     "AltSvc can only be off in a directory, not auto"),
    ("<Location /x>\n<Limit GET>\n    AltSvc off\n</Limit>\n</Location>",
     "AltSvc cannot occur within <Limit> or <LimitExcept> section"),
    ("AltSvcMode frames", "AltSvcMode must be header or frame, not 'frames'"),
    ("AltSvcMode", "AltSvcMode takes one argument"),
    ("<Location /x>\n    AltSvcMode frame\n</Location>", "AltSvcMode not allowed in"),
    ("AltSvcMaxAge 0", "AltSvcMaxAge '0' is not a number from 1 to 2147483647"),
    ("AltSvcMaxAge 2147483648", "AltSvcMaxAge '2147483648' is not a number from 1 to 2147483647"),
    ("AltSvcMaxAge -1", "AltSvcMaxAge '-1' is not a number from 1 to 2147483647"),
    ("AltSvcMaxAge 1h", "AltSvcMaxAge '1h' is not a number from 1 to 2147483647"),
    ("AltSvcPersist 1", "AltSvcPersist must be off or on, not '1'"),
    ("AltSvcPort 0", "AltSvcPort '0' is not a number from 1 to 65535"),
    ("AltSvcPort 65536", "AltSvcPort '65536' is not a number from 1 to 65535"),
    ("AltSvcPort https", "AltSvcPort 'https' is not a number from 1 to 65535"),
    ("AltSvcHost a_b!", "AltSvcHost: 'a_b!' is no host name"),
    ("AltSvcHost h3.test:443", "AltSvcHost: 'h3.test:443' is no host name"),
    ("AltSvcHost 2001:db8::1", "AltSvcHost: the IPv6 address '2001:db8::1' needs brackets"),
    ("AltSvcOrigins", "AltSvcOrigins requires at least one argument"),
    ("AltSvcOrigins https://h3.test", "AltSvcOrigins: the port '//h3.test' is not a number"),
    ("AltSvcOrigins *.h3.test", "AltSvcOrigins: '*.h3.test' is no host name"),
    ("AltSvcOrigins h3.test:0", "AltSvcOrigins: the port '0' is not a number from 1 to 65535"),
    ("AltSvcOrigins 192.0.2.1", "AltSvcOrigins: '192.0.2.1' is an address, not a name"),
    ("AltSvcOrigins [::1]", "AltSvcOrigins: '[::1]' is an address, not a name"),
    ("AltSvcOverride maybe", "AltSvcOverride must be off or on, not 'maybe'"),
]


@pytest.mark.parametrize("text, message", MISTAKES, ids=[m[0][:40] for m in MISTAKES])
def test_each_mistake_has_its_message(make_httpd, text, message):
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    httpd.vhost("h3.test", text)
    code, output = httpd.configtest()
    assert code != 0
    line = httpd.line_of([t.strip() for t in text.split("\n") if "AltSvc" in t][0])
    assert "Syntax error on line %d of %s:" % (line, httpd.conf_file) in output
    assert message in output


GOOD = [
    "AltSvc auto", "AltSvc off", "AltSvc clear", "AltSvc AUTO", "AltSvc h3=\":443\"",
    "AltSvc \"h3=\\\":443\\\"\"", "AltSvc 'h3=\":443\"; ma=60; persist=1, h2=\"alt:443\"'",
    "AltSvc auto h2=\"alt.h3.test:443\"", "AltSvc http%2F1.1=\"[2001:db8::1]:443\"",
    "AltSvcMaxAge 1", "AltSvcMaxAge 2147483647", "AltSvcPort 65535", "AltSvcHost [::1]",
    "AltSvcPersist On", "AltSvcOverride OFF", "AltSvcMode Frame",
    "<Location /x>\n    AltSvc off\n</Location>", "<If \"true\">\n    AltSvc off\n</If>",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right(make_httpd, text):
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    httpd.vhost("h3.test", text)
    code, output = httpd.configtest()
    assert code == 0, output
    assert "Syntax OK" in output


WARNINGS = [
    ("AltSvc auto", "AltSvc auto: mod_http3 is not loaded, so there is no HTTP/3 to advertise"),
    ("AltSvc h3=\":1\"\nAltSvcPort 443",
     "AltSvcPort and AltSvcHost have an effect on AltSvc auto only"),
    ("AltSvc clear\nAltSvcHost h3.test",
     "AltSvcPort and AltSvcHost have an effect on AltSvc auto only"),
    ("AltSvc h3=\":1\"\nAltSvcOrigins a.h3.test",
     "AltSvcOrigins has an effect with AltSvcMode frame only"),
    ("AltSvc h3=\":1\"\nAltSvcMode frame\nAltSvcOrigins off.h3.test",
     "AltSvcOrigins: the virtual host of off.h3.test advertises nothing"),
]


@pytest.mark.parametrize("text, warning", WARNINGS)
def test_warnings(make_httpd, text, warning):
    """One for each directive, with file and line, also where many virtual hosts inherit it."""
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    httpd.add(text)
    for name in ("h3.test", "a.h3.test", "b.h3.test"):
        httpd.vhost(name)
    httpd.vhost("off.h3.test", "AltSvc off")
    code, output = httpd.configtest()
    assert code == 0
    line = httpd.line_of(text.split("\n")[0])
    assert output.count("%s:%d: %s" % (httpd.conf_file, line, warning)) == 1, output
    httpd.start()
    assert httpd.log().count(warning) == 1


@pytest.mark.parametrize("text", ("AltSvcMode frame", "AltSvcMaxAge 60", "AltSvcHost a.h3.test",
                                  "AltSvcOrigins a.h3.test"))
def test_a_directive_that_lacks_altsvc(make_httpd, text):
    """In the virtual host, or in the server when none of them has AltSvc."""
    warning = "%s has no effect where there is no AltSvc directive" % text.split()[0]
    for main, vhost, warned in ((text, "", True), ("", text, True), (text, "AltSvc off", False),
                                ("AltSvc off", text, False)):
        httpd = make_httpd(altsvc=True, http3=False, site=False)
        httpd.add(main).vhost("h3.test", vhost).vhost("a.h3.test")
        code, output = httpd.configtest()
        assert code == 0
        place = "%s:%d: " % (httpd.conf_file, httpd.line_of(text)) if warned else ""
        assert output.count(place + warning) == warned, output


def report(httpd, *more):
    code, output = httpd.configtest("-D", "DUMP_HTTP3", *more)
    assert code == 0, output
    head, _, text = output.partition("Alternative services (mod_altsvc), over TLS only:\n")
    assert text, output
    blocks, name = {}, None
    for line in text.splitlines():
        if re.match(r"  \S", line):
            name = line.strip()
            blocks[name] = []
        elif line.startswith("    "):
            blocks[name].append(line.strip())
    return blocks


def test_no_report_unless_asked(make_httpd):
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    httpd.vhost("h3.test", "AltSvc h3=\":1\"")
    assert "Alternative services" not in httpd.configtest()[1]


def test_report(make_httpd):
    httpd = make_httpd(altsvc=True, http3=False, site=False, protocols="h2 http/1.1")
    port = httpd.port
    httpd.add("AltSvcMaxAge 60")
    httpd.vhost("h3.test", "AltSvc h3=\":%d\" h2=\":%d\"" % (port, port),
                aliases=("www.h3.test",))
    httpd.vhost("far.h3.test:443",
                "AltSvc h3=\"cdn.example:443\" h3=\"[::1]:9\" h3=\"192.0.2.1:9\"\n"
                "AltSvcMode frame\nAltSvcOrigins h3.test off.h3.test:1")
    httpd.vhost("clear.h3.test", "AltSvc clear", protocols="http/1.1")
    httpd.vhost("off.h3.test", "AltSvc off")
    httpd.vhost("auto.h3.test", "AltSvc auto")
    httpd.vhost("silent.h3.test")
    httpd.vhost("cleartext.h3.test", "AltSvc h3=\":1\"", tls=False)
    found = report(httpd)

    def place(name):
        written = name if name.endswith(":443") else name.split(":")[0]
        return "%s (%s:%d)" % (name, httpd.conf_file, httpd.line_of(
            "    ServerName %s\n" % written) - 1)
    assert list(found) == [place("h3.test:%d" % port), place("far.h3.test:443"),
                           place("clear.h3.test:%d" % port), place("off.h3.test:%d" % port),
                           place("auto.h3.test:%d" % port)]
    blocks = list(found.values())
    value = 'h3=":%d"; ma=60, h2=":%d"; ma=60' % (port, port)
    assert blocks[0] == [
        "Alt-Svc: " + value, "sent as: header",
        'DNS: _%d._https.h3.test. 3600 IN HTTPS 1 h3.test. alpn="h3,h2"' % port,
        'DNS: _%d._https.www.h3.test. 3600 IN HTTPS 1 www.h3.test. '
        'alpn="h3,h2"' % port]
    assert blocks[1] == [
        'Alt-Svc: h3="cdn.example:443"; ma=60, h3="[::1]:9"; ma=60, h3="192.0.2.1:9"; ma=60',
        "sent as: ALTSVC frame on HTTP/2 connections, header on others",
        "also for: https://h3.test:443 " + value, "also for: https://off.h3.test:1 nothing",
        'DNS: far.h3.test. 3600 IN HTTPS 1 cdn.example. alpn="h3" port=443 no-default-alpn',
        'DNS: far.h3.test. 3600 IN HTTPS 2 . alpn="h2"']
    assert blocks[2] == ["Alt-Svc: clear", "sent as: header",
                         "DNS: _%d._https.clear.h3.test. 3600 IN HTTPS 1 clear.h3.test." % port]
    assert blocks[3] == ["Alt-Svc: nothing (AltSvc off)",
                         'DNS: _%d._https.off.h3.test. 3600 IN HTTPS 1 off.h3.test. '
                         'alpn="h2"' % port]
    assert blocks[4][0] == "Alt-Svc: nothing (mod_http3 is not loaded)"


def test_report_of_records_that_can_be_published(make_httpd):
    """Owned by names, and h2 only where a module speaks it."""
    for without in ((), ("http2",)):
        httpd = make_httpd(altsvc=True, http3=False, site=False, protocols="h2 http/1.1",
                           without=without)
        httpd.vhost("192.0.2.1", "AltSvc h3=\":%d\"" % httpd.port,
                    aliases=("[2001:db8::1]", "h3.test", "127.0.0.1"))
        (lines,) = report(httpd).values()
        assert lines[2:] == ['DNS: _%d._https.h3.test. 3600 IN HTTPS 1 h3.test. alpn="h3%s"' % (
            httpd.port, "" if without else ",h2")]


def test_report_of_what_speaks_tls(make_httpd):
    """As mod_ssl takes it: `Listen ... https` means SSLEngine on, the last SSLEngine counts."""
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    https, http = httpd.new_port(), httpd.new_port()
    httpd.add("AltSvc h3=\":1\"\nListen 127.0.0.1:%d https\nListen 127.0.0.1:%d" % (https, http))
    off = httpd.tls(httpd.ca.leaf()).replace("SSLEngine on", "SSLEngine \"off\"")
    without = off.replace("    SSLEngine \"off\"\n", "")
    for name, port, body in (("listen", https, without), ("neither", http, without),
                             ("off", https, off), ("quoted", http, off.replace("off", "on"))):
        httpd.vhost(name + ".h3.test", body, tls=False, port=port, address="127.0.0.1")
    httpd.vhost("last.h3.test", "SSLEngine off")
    assert [place.partition(".")[0] for place in report(httpd)] == ["listen", "quoted"]


def test_report_of_nothing(make_httpd):
    httpd = make_httpd(altsvc=True, http3=False, site=False)
    httpd.vhost("h3.test")
    assert "no virtual host with TLS has an AltSvc directive or HTTP/3" in list(report(httpd))


def manual_example(httpd):
    """The manual's example, for this server's certificate and ports."""
    with open(MANUAL) as file:
        text = re.search(r"```apache\n(.*?)```", file.read(), re.S).group(1)
    tls = httpd.tls(httpd.ca.leaf("manual", names=(
        "www.example.org", "example.org", "*.example.org")))
    return text.replace("    SSLEngine on\n", tls).replace("*:443", "*:%d" % httpd.port)


def test_the_manuals_example(make_httpd):
    httpd = make_httpd(altsvc=True)
    httpd.add(manual_example(httpd)).start()
    until(lambda: httpd.fetch("1.1", sni="www.example.org").get("alt-svc"), 20,
          "HTTP/3 is advertised")
    auto = 'h3=":%d"; ma=3600' % httpd.port

    def h2(name, path="/"):
        with httpd.h2(sni=name) as conn:
            response = conn.request("GET", path)
        return ([(o.replace(":%d" % httpd.port, ""), v) for o, v in conn.altsvc],
                response.get_all("alt-svc"))
    mapped = 'h3=":443"; ma=3600'
    for name in ("www.example.org", "example.org"):
        assert h2(name) == ([("https://" + name, auto), ("https://img.example.org", mapped),
                             ("https://api.example.org", mapped)], [])
    assert h2("api.example.org") == ([], [mapped])
    assert h2("shop.example.org") == (
        [], ['h3="cdn.example.net:443"; ma=86400, h2="backup.example.org:443"; ma=3600'])
    assert h2("old.example.org") == ([], ["clear"])
    for version in ("1.1", "3"):
        assert httpd.fetch(version, sni="www.example.org").get_all("alt-svc") == [auto]
        assert httpd.fetch(version, "/private-beta", sni="www.example.org").get_all(
            "alt-svc") == []


def test_the_manual_names_every_directive():
    with open(MANUAL) as file:
        text = file.read()
    named = re.findall(r"^### (AltSvc\w*)$", text, re.M)
    source = os.path.join(os.path.dirname(MANUAL), "..", "mod_altsvc", "altsvc_config.c")
    with open(source) as file:
        registered = re.findall(r'AP_INIT_\w+\(\s*"(\w+)"', file.read())
    assert registered and sorted(named) == sorted(registered)
