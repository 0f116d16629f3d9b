# SPDX-License-Identifier: Apache-2.0
"""The SSL* directives that are mod_ssl's and count for HTTP/3 too, SSL_* variables, congestion
control, and what an administrator is told."""
import base64
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from h3test import content
from h3test.load import load
from h3test.tools import run
from h3test.wait import until
from h3test.wire import Plan, Wire

# Answered alike over TCP, where TLS is 1.3 and the client shows no certificate.
SAME = ["HTTPS", "SSL_PROTOCOL", "SSL_CIPHER_EXPORT", "SSL_COMPRESS_METHOD",
        "SSL_SESSION_RESUMED", "SSL_TLS_SNI", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN",
        "SSL_CLIENT_CERT", "SSL_CLIENT_V_REMAIN", "SSL_CLIENT_SAN_DNS_0", "SSL_SRP_USER",
        "SSL_SERVER_S_DN", "SSL_SERVER_I_DN", "SSL_SERVER_S_DN_CN", "SSL_SERVER_I_DN_CN",
        "SSL_SERVER_S_DN_OU", "SSL_SERVER_M_SERIAL", "SSL_SERVER_M_VERSION", "SSL_SERVER_V_START",
        "SSL_SERVER_V_END", "SSL_SERVER_V_REMAIN", "SSL_SERVER_A_KEY", "SSL_SERVER_A_SIG",
        "SSL_SERVER_SAN_DNS_0", "SSL_SERVER_SAN_DNS_99", "SSL_VERSION_INTERFACE",
        "SSL_NO_SUCH_THING", "ssl_protocol"]

LOCATIONS = {
    "named": "Require expr %{SSL_SERVER_S_DN_CN} == 'h3.test' || %{SSL_SERVER_SAN_DNS_0} == "
             "'h3.test'",
    "cert": "Require expr %{SSL_SERVER_CERT} =~ /^-----BEGIN CERTIFICATE-----/",
    "not-client": "Require expr %{SSL_CLIENT_S_DN_CN} != 'mallory'",
    "unanswered": "Require expr %{SSL_SERVER_SAN_OTHER_msUPN_0} != 'x'",
    "unanswered-fn": "Require expr \"%{SSL:SSL_SERVER_SAN_OTHER_dnsSRV_0}\" != 'x'",
    "unanswered-if": "<If \"%{SSL_SERVER_SAN_OTHER_msUPN_0} == 'x'\">\nRequire all denied\n</If>",
    "legacy": "SSLOptions +LegacyDNStringFormat\nRequire expr %{SSL_SERVER_S_DN} != 'CN=h3.test'",
    "not-legacy": "SSLOptions +LegacyDNStringFormat\nSSLOptions -LegacyDNStringFormat\n"
                  "Require expr %{SSL_SERVER_S_DN} != 'CN=nobody'",
    "user": "SSLUserName SSL_PROTOCOL\nAuthType Basic\nAuthName x\nRequire valid-user",
    "strict": "SSLOptions +StrictRequire\nSSLRequire %{SSL_CIPHER_USEKEYSIZE} >= 10000\n"
              "Satisfy Any\nAuthType Basic\nAuthName x\nAuthUserFile %(root)s/htpasswd\n"
              "Require valid-user",
    "requiressl-auth": "SSLRequireSSL\nAuthType Basic\nAuthName x\n"
                       "AuthUserFile %(root)s/htpasswd\nRequire valid-user",
}
# name: (over TCP, over QUIC)
EXPECTED = {
    "named": (200, 200), "cert": (200, 200), "not-client": (200, 200), "unanswered": (200, 403),
    "unanswered-fn": (200, 403), "unanswered-if": (200, 403), "legacy": (200, 403),
    "not-legacy": (200, 200), "requiressl-auth": (401, 401),
}


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd()
    values = "".join('Header set X-V%d "expr=[%%{%s}]"\n' % pair for pair in enumerate(SAME))
    values += "".join('Header set X-F%d "expr=[%%{SSL:%s}]"\n' % pair for pair in enumerate(SAME))
    values += "".join('Header set X-S%d "%%{%s}s"\n' % pair for pair in enumerate(SAME))
    values += 'Header set X-Renegotiation "%{SSL_SECURE_RENEG}s"\n'
    for name in list(LOCATIONS) + ["values"]:
        content.write(httpd.path("htdocs/d", name, "index.html"), "secret of %s\n" % name)
    body = "<Location /d/values>\n%s</Location>\n" % values
    for name, text in LOCATIONS.items():
        if name not in ("user", "strict"):
            body += "<Location /d/%s>\n%s\n</Location>\n" % (name, text.replace(
                "%(root)s", httpd.root))
    httpd.add('LogFormat "%{SSL_PROTOCOL}x %{HTTPS}x %{SSL_CLIENT_S_DN}x %{version}c %{cipher}c '
              '%{subjectdn}c %{errstr}c %H %U" tls\n'
              "CustomLog " + httpd.path("logs/tls_log") + " tls")
    httpd.vhost("h3.test", body)
    return httpd.start()


def as_over_tcp(name, value):
    """mod_ssl of older httpd (2.4.63 is one) has SSL_SERVER_V_REMAIN a day too long."""
    if name == "SSL_SERVER_V_REMAIN":
        return value, re.sub(r"\d+", lambda days: str(int(days.group()) - 1), value)
    return (value,)


def test_values_are_those_of_tcp(httpd):
    over_tcp = httpd.fetch("1.1", "/d/values/", tls13=True)
    over_quic = httpd.fetch("3", "/d/values/")
    assert over_tcp.status == over_quic.status == 200
    for kind in "vfs":
        for number, name in enumerate(SAME):
            field = "x-%s%d" % (kind, number)
            assert over_quic.get(field) in as_over_tcp(name, over_tcp.get(field)), (kind, name)
    assert over_quic.get("x-v0") == "[on]" and over_quic.get("x-v1") == "[TLSv1.3]"
    assert over_quic.get("x-v%d" % SAME.index("SSL_CLIENT_VERIFY")) == "[NONE]"
    assert over_quic.get("x-v%d" % SAME.index("SSL_SERVER_V_REMAIN")) == "[30]"
    # Over TCP it depends on OpenSSL's version: TLS 1.3 has no renegotiation that could be insecure.
    assert over_quic.get("x-renegotiation") == "true"


@pytest.mark.sanitize
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_conditions(httpd, name):
    """A variable that cannot be told opens no door by being empty."""
    over_tcp, over_quic = EXPECTED[name]
    assert httpd.fetch("1.1", "/d/%s/" % name, tls13=True).status == over_tcp
    answer = httpd.fetch("3", "/d/%s/" % name)
    assert answer.status == over_quic
    assert (b"secret" in answer.body) == (over_quic == 200)


def test_log_formats(httpd):
    for version in ("1.1", "3"):
        assert httpd.fetch(version, "/small.txt", **({"tls13": True} if version == "1.1" else {})
                           ).status == 200

    def lines():
        with open(httpd.path("logs/tls_log")) as file:
            return [line.split() for line in file if line.rstrip().endswith("/small.txt")]

    until(lambda: len(lines()) >= 2, 10, "both lines")
    over_tcp, over_quic = ([x for x in lines() if x[-2] == v] for v in ("HTTP/1.1", "HTTP/3.0"))
    # All but the cipher, which each library chooses for itself.
    assert over_quic[0][:4] == over_tcp[0][:4] == ["TLSv1.3", "on", "-", "TLSv1.3"]
    assert over_quic[0][4].startswith("TLS_") and over_quic[0][5:7] == ["-", "-"]


def test_user_name_and_strict_require(fresh_httpd):
    """As over TCP for a client without a certificate; mod_access_compat for Satisfy."""
    httpd = fresh_httpd(modules=["access_compat"])
    for name in ("user", "strict"):
        content.write(httpd.path("htdocs/d", name, "index.html"), "secret\n")
    body = "".join("<Location /d/%s>\n%s\n</Location>\n" % (name, LOCATIONS[name].replace(
        "%(root)s", httpd.root)) for name in ("user", "strict"))
    httpd.vhost("h3.test", body).start()
    for version, options in (("1.1", {"tls13": True}), ("3", {})):
        assert httpd.fetch(version, "/d/user/", **options).status == 200, version
        token = base64.b64encode(("%s:%s" % (content.USER, content.PASSWORD)).encode()).decode()
        fields = [("Authorization", "Basic " + token)]
        assert httpd.fetch(version, "/d/strict/", fields=fields, **options).status == 403, version


def ticket_of(httpd):
    with httpd.h3() as conn:
        conn.wait(lambda: conn.tickets)
        return conn.tickets[-1]


def resumes(httpd, ticket):
    with httpd.h3(ticket=ticket) as conn:
        return conn.handshake.session_resumed


def test_ticket_key_file(fresh_httpd):
    """Tickets open after stop and start, and after the file has changed once, not twice."""
    httpd = fresh_httpd(site=False)
    file = httpd.path("conf", "ticket.key")

    def new_key(size):
        with open(file, "wb") as out:
            out.write(os.urandom(size))

    new_key(48)
    httpd.vhost("h3.test", "SSLSessionTicketKeyFile %s" % file).start()
    ticket = ticket_of(httpd)
    httpd.stop()
    httpd.start()
    assert resumes(httpd, ticket)
    new_key(80)
    httpd.graceful()
    assert resumes(httpd, ticket)
    new_key(80)
    httpd.graceful()
    assert not resumes(httpd, ticket)
    assert resumes(httpd, ticket_of(httpd))


def test_no_key_file_keeps_tickets_within_one_server(fresh_httpd):
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test").start()
    ticket = ticket_of(httpd)
    httpd.stop()
    httpd.start()
    assert not resumes(httpd, ticket)


def test_report(fresh_httpd):
    httpd = fresh_httpd(site=False, listen=False)
    httpd.add("Listen 127.0.0.1:%d\nListen 127.0.0.2:%d\nH3Listen 127.0.0.1:%d %d\n"
              "H3IdleTimeout 42" % (httpd.port, httpd.port, httpd.port, httpd.port))
    httpd.vhost("h3.test", "H3WindowSize 123456\n<Location /x>\nSSLRequire true\n</Location>")
    httpd.vhost("old.h3.test", "SSLProtocol TLSv1.2")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0, output
    assert re.search(r"UDP 127\.0\.0\.1:%d for TCP port %d: h3\.test:%d\n"
                     % (httpd.port, httpd.port, httpd.port), output), output
    assert re.search(r"old\.h3\.test:\d+ \(.*\): off, because SSLProtocol", output), output
    assert re.search(r"h3\.test:\d+ \(.*httpd\.conf:\d+\): on\n", output), output
    assert httpd.ca.leaf().cert_file.split("/")[-1].split(".")[0] in output
    assert "H3WindowSize 123456" in output and "H3IdleTimeout 42s" in output
    assert output.count("firewalls and containers must let UDP port %d through" % httpd.port) == 1
    assert "no UDP socket stands for TCP 127.0.0.2:%d" % httpd.port in output
    assert re.search(r"warning: SSLRequire .*httpd\.conf:%d" % httpd.line_of("SSLRequire true"),
                     output), output


def test_report_of_a_self_signed_certificate(fresh_httpd):
    httpd = fresh_httpd(site=False)
    cert, key = httpd.path("conf", "self.pem"), httpd.path("conf", "self.key")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=h3.test", "-days", "2", "-keyout", key, "-out", cert)
    httpd.vhost("h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (cert, key), tls=False, port=httpd.port)
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0 and output.count("warning: the certificate is self-signed") == 1, output


@pytest.mark.parametrize("limit", ["rmem_max", "wmem_max"])
def test_report_of_socket_buffers(fresh_httpd, limit):
    """What an unprivileged start could not get is said; a byte less is not worth a word."""
    with open("/proc/sys/net/core/" + limit) as file:
        most = int(file.read())
    for size, said in (most + 1, 1), (min(most, 1 << 20), 0):
        httpd = fresh_httpd(site=False)
        httpd.add("H3SocketBufferSize %d" % size).vhost("h3.test")
        code, output = httpd.configtest("-D", "DUMP_HTTP3")
        assert code == 0 and output.count("is above net.core." + limit) == said, output


def test_h3listen_that_serves_nobody(fresh_httpd):
    httpd = fresh_httpd(site=False)
    httpd.add("H3Listen %d\nH3Listen 28443 28444" % httpd.port).vhost("h3.test")
    code, output = httpd.configtest()
    assert code == 0 and re.search(r"http3:warn.*H3Listen 28443 \(.*httpd\.conf:%d\)"
                                   % httpd.line_of("H3Listen 28443"), output), output


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_configtest_without_the_rights_to_read_a_key(fresh_httpd, ca, monkeypatch):
    """Somebody who may not read the key is told so; it is no error that mod_ssl would not have."""
    httpd = fresh_httpd(site=False)
    # The module itself must be readable, also when it was built below root's home.
    monkeypatch.setenv("HTTP3_MODULE", shutil.copy(os.environ["HTTP3_MODULE"], httpd.root))
    pair = ca.leaf()
    key = httpd.path("conf", "secret.key")
    with open(pair.key_file) as file:
        content.write(key, file.read(), 0o600)
    httpd.vhost("h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (pair.cert_file, key), tls=False, port=httpd.port)
    httpd.write()
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           *httpd.process.command_line("-t")], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(r"http3:warn.*root.*secret\.key.*httpd\.conf:%d"
                     % httpd.line_of("SSLCertificateKeyFile " + key), done.stderr), done.stderr


def manual_example(httpd, folder):
    """The manual's first example, with this server's certificate and ports."""
    with open(os.path.join(folder, "docs", "mod_http3.md")) as file:
        text = re.search(r"```apache\n(.*?)```", file.read(), re.S).group(1)
    pair = httpd.ca.leaf("manual3", names=("www.example.org", "intern.example.org"))
    text = re.sub(r"(SSLCertificateFile +)\S+", r"\g<1>" + pair.cert_file, text)
    text = re.sub(r"(SSLCertificateKeyFile +)\S+", r"\g<1>" + pair.key_file, text)
    text = re.sub(r"^LoadModule.*\n", "", text, flags=re.M)
    return text.replace("443", str(httpd.port))


def test_the_manuals_example(fresh_httpd):
    httpd = fresh_httpd(listen=False)
    top = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    httpd.add("Listen 127.0.0.1:%d" % httpd.clear_port)
    httpd.add(manual_example(httpd, top)).start()
    assert httpd.fetch("3", "/small.txt", sni="www.example.org").status == 200
    assert httpd.fetch("1.1", "/small.txt", sni="intern.example.org").status == 200
    with pytest.raises(Exception) as info:
        httpd.h3(sni="intern.example.org").close()
    assert info.value.code == 0x170


# -- congestion control

TCP_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def of_tcp():
    """What `auto` is on this machine."""
    with open(TCP_CONTROL) as file:
        name = file.read().strip()
    return name if name in ("cubic", "reno") else "bbr"


def controls(httpd):
    """(virtual host, algorithm) of each handshake so far."""
    return re.findall(r"handshake complete: .* virtual host (\S+), congestion control (\w+)\n",
                      httpd.log())


@pytest.mark.sanitize
@pytest.mark.parametrize("value", ["auto", "bbr", "cubic", "reno"])
def test_congestion_control(fresh_httpd, tmp_path, value):
    """Everything arrives with each of them, over a good network and a bad one."""
    httpd = fresh_httpd()
    httpd.add("H3CongestionControl " + value).vhost("h3.test").start()
    out, large = str(tmp_path / "answer"), hashlib.sha256(content.LARGE).hexdigest()
    for bad in Plan(), Plan(loss=0.02, late=0.02, lateness=0.004, delay=0.002):
        with Wire(httpd.port, bad, bad) as wire:
            report = load(httpd, "-n", 4, "--sha256", paths=["/large.bin"], connect=wire.address)
            assert [r["sha256"] for r in report["responses"]] == [large] * 4
            report = load(httpd, "--upload-size", 3 << 20, "--sha256", "--out", out,
                          paths=["/cgi-bin/sha256.cgi"], connect=wire.address)
            with open(out) as file:
                assert file.read().split()[0] == report["upload_sha256"]
    assert controls(httpd) == [("h3.test", of_tcp() if value == "auto" else value)] * 4


def slow_starts(file):
    """Of a qlog file: the packets lost, and (congestion window before, after) for each time that
    loss has set a new threshold for slow start."""
    lost, found, window, threshold = 0, [], None, None
    with open(file) as records:
        for record in map(json.loads, records.read().split("\x1e")[1:]):
            lost += record.get("name") == "recovery:packet_lost"
            if record.get("name") == "recovery:metrics_updated":
                data = record["data"]
                if data.get("ssthresh", threshold) != threshold:
                    threshold = data["ssthresh"]
                    found.append((window, threshold))
                window = data["congestion_window"]
    return lost, found


@pytest.mark.parametrize("value, low, high", [("bbr", 1, 0), ("cubic", 0.65, 0.75),
                                              ("reno", 0.45, 0.55)])
def test_congestion_control_is_the_librarys(fresh_httpd, value, low, high):
    """What a loss does to the window: NewReno halves it (RFC 9002 section 7.3.2), CUBIC leaves 0.7
    of it (RFC 9438 section 4.6), and BBR has no threshold. A qlog file shows that, but no name."""
    httpd = fresh_httpd()
    folder = httpd.path("logs", "qlog")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    httpd.add("H3QlogDir logs/qlog\nH3CongestionControl " + value).vhost("h3.test").start()
    losses = Plan(delay=0.005, lose=range(60, 2000, 200))
    with Wire(httpd.port, Plan(delay=0.005), losses) as wire:
        assert load(httpd, "-n", 3, paths=["/large.bin"], connect=wire.address)["ok"] == 3
    httpd.stop()        # the file is whole when its connection is gone
    (file,) = glob.glob(folder + "/*")
    lost, found = slow_starts(file)
    # The first one ends the first slow start, in which one acknowledgement makes the window larger
    # and tells of the loss.
    ratios = sorted(after / before for before, after in found[1:])
    assert lost >= 8 and (len(ratios) >= 5) == (value != "bbr"), (lost, found)
    assert not found if value == "bbr" else low < ratios[len(ratios) // 2] < high, found


def test_congestion_control_of_an_address(fresh_httpd):
    """The first virtual host of the address decides, even without HTTP/3: the library takes the
    algorithm before the client has named one."""
    httpd = fresh_httpd()
    second = httpd.new_port()
    httpd.add("Listen %d\nH3CongestionControl cubic" % second)
    httpd.vhost("h3.test")
    httpd.vhost("other.h3.test")
    httpd.vhost("h3.test", "H3CongestionControl reno", address="127.0.0.2", protocols="http/1.1")
    httpd.vhost("named.h3.test", "H3CongestionControl reno", address="127.0.0.2")
    httpd.vhost("h3.test", "H3CongestionControl bbr", port=second)
    httpd.start()
    asked = [("127.0.0.1", "h3.test", httpd.port, "cubic"),
             ("127.0.0.1", "other.h3.test", httpd.port, "cubic"),
             ("127.0.0.2", "named.h3.test", httpd.port, "reno"),
             ("127.0.0.1", "h3.test", second, "bbr")]
    for address, name, port, _ in asked:
        assert httpd.fetch("3", "/small.txt", address=address, sni=name, port=port,
                           authority="%s:%d" % (name, port)).body == content.SMALL
    assert controls(httpd) == [(name, control) for _, name, _, control in asked]


def test_congestion_control_at_a_restart(fresh_httpd):
    httpd = fresh_httpd()
    httpd.add("H3CongestionControl reno").vhost("h3.test").start()
    httpd.fetch("3", "/small.txt")
    httpd.conf.add("H3CongestionControl cubic")
    httpd.write()
    httpd.graceful()
    httpd.fetch("3", "/small.txt")
    assert [control for _, control in controls(httpd)] == ["reno", "cubic"]


def test_report_of_congestion_control(fresh_httpd):
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test").vhost("h3.test", "H3CongestionControl reno", address="127.0.0.2")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0, output
    assert re.findall(r"^( *)H3CongestionControl (.*)$", output, re.M) == [
        ("    ", "reno"), ("  ", "cubic")], output


@pytest.mark.skipif(subprocess.run(["unshare", "-n", "true"], capture_output=True,
                                   check=False).returncode != 0, reason="no network namespace")
def test_congestion_control_as_tcp(fresh_httpd):
    """In a network namespace, which may have Reno whatever the machine has."""
    script = "echo reno >%s && exec \"$@\"" % TCP_CONTROL
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test", "H3CongestionControl auto").write()
    done = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh",
                           *httpd.process.command_line("-t", "-D", "DUMP_HTTP3")],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "H3CongestionControl auto (reno)\n" in done.stdout


SHARED = [
    # What the first virtual host of an address has, the second one, and whether that is warned of.
    ("bbr", "cubic", True), ("bbr", "bbr", False), ("bbr", None, False), (None, None, False),
    ("auto", "auto", False), ("auto", of_tcp(), False), (None, "cubic", False),
    ("reno" if of_tcp() == "bbr" else "bbr", "auto", True),
    (None, "reno", True), (None, "auto", of_tcp() != "cubic")]


def with_control(value):
    return "H3CongestionControl %s" % value if value else ""


@pytest.mark.parametrize("first, second, warned", SHARED)
def test_congestion_control_that_is_not_used(fresh_httpd, first, second, warned):
    """A name-based virtual host is told that the first one of its address decides."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test", with_control(first))
    httpd.vhost("other.h3.test", with_control(second))
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    found = re.findall(r"(http3:warn\].* AH20120|    warning): H3CongestionControl (\w+) "
                       r"\(%s:(\d+)\) is not used for (\S+): .*, (\S+), decides, and has (\w+)\n"
                       % re.escape(httpd.conf_file), output)
    assert code == 0 and len(found) == 2 * warned, output
    with open(httpd.conf_file) as conf:
        lines = [n for n, line in enumerate(conf, 1) if "H3CongestionControl" in line]
    used = {None: "cubic", "auto": of_tcp()}.get(first, first)
    for _, *said in found:
        assert said == [second, str(lines[-1]), "other.h3.test:%d" % httpd.port,
                        "h3.test:%d" % httpd.port, used]
    httpd.start()
    assert httpd.fetch("3", "/small.txt", sni="other.h3.test",
                       authority="other.h3.test:%d" % httpd.port).status == 200
    assert controls(httpd) == [("other.h3.test", used)]


def test_congestion_control_where_addresses_differ(fresh_httpd):
    """What is alone on its address, on any of its sockets, is nobody's second."""
    httpd = fresh_httpd(site=False)
    second, third = httpd.new_port(), httpd.new_port()
    httpd.add("Listen %d\nListen 127.0.0.3:%d\nH3CongestionControl cubic" % (second, third))
    httpd.vhost("h3.test", "H3CongestionControl bbr")
    httpd.vhost("h3.test", "H3CongestionControl reno", address="127.0.0.2")
    httpd.vhost("h3.test", "H3CongestionControl reno", port=second)
    httpd.vhost("h3.test", port=third)
    httpd.vhost("other.h3.test", "H3CongestionControl reno", port=third, address="127.0.0.3")
    httpd.vhost("off.h3.test", "H3CongestionControl cubic", protocols="http/1.1")
    code, output = httpd.configtest()
    assert code == 0 and "http3:warn" not in output, output


def test_congestion_control_from_the_main_server(fresh_httpd):
    """Everybody but the first has inherited what is not used."""
    httpd = fresh_httpd(site=False)
    httpd.add("H3CongestionControl reno").vhost("h3.test", "H3CongestionControl cubic")
    for name in ("second.h3.test", "third.h3.test"):
        httpd.vhost(name)
    code, output = httpd.configtest()
    assert code == 0
    assert sorted(re.findall(r"AH20120: H3CongestionControl reno \(.*:(\d+)\) is not used for "
                             r"([a-z]+)", output)) == [
        (str(httpd.line_of("H3CongestionControl reno")), name) for name in ("second", "third")]
