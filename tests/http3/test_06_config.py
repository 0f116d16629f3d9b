# SPDX-License-Identifier: Apache-2.0
"""What `apachectl configtest` finds, with file and line; and what it warns of."""
import os
import re
import socket
import ssl

import pytest

from h3test import content, procs
from h3test.response import ConnectionEnded
from h3test.wait import until

# directive: (values that are taken, values that are not)
DIRECTIVES = {
    "H3MaxSessionStreams": (["1", "100", "65535"], ["0", "65536", "-1", "many", "1x"]),
    "H3WindowSize": (["65536", "262144"], ["0", "-1", "many", "99999999999999999999"]),
    "H3ConnWindowSize": (["65536", "1048576"], ["0", "-1", "many", "99999999999999999999"]),
    "H3StreamMaxMemSize": (["65536", "262144"], ["0", "-1", "many", "99999999999999999999"]),
    "H3ConnMaxMemSize": (["65536", "1048576"], ["0", "-1", "many", "99999999999999999999"]),
    "H3MaxMemSize": (["1048576", "68719476736"], ["0", "-1", "many", "68719476737"]),
    "H3MinWorkers": (["1", "10"], ["0", "-1", "many"]),
    "H3MaxWorkers": (["1", "10"], ["0", "-1", "many"]),
    "H3MaxWorkerIdleSeconds": (["1", "600"], ["-1", "long"]),
    "H3IdleTimeout": (["1", "30", "500ms", "2min"], ["-1", "soon", "5years"]),
    "H3HandshakeTimeout": (["1", "10"], ["-1", "soon"]),
    "H3GracefulTimeout": (["1", "30"], ["-1", "soon"]),
    "H3CongestionControl": (["auto", "bbr", "cubic", "reno", "BBR"],
                            ["fast", "bbr2", "newreno", "0", "bbr cubic"]),
    "H3MaxConnections": (["4", "10000"], ["0", "-1", "many"]),
    "H3SocketBufferSize": (["262144", "4194304"], ["-1", "many", "99999999999999999999"]),
    "H3QlogDir": (["run"], ["/nowhere/at/all"]),
    "H3Listen": (["127.0.0.1:28443", "28443", "[::1]:28443"],
                 ["0", "65536", "127.0.0.1", "h3.test:http", "127.0.0.1:28443 0",
                  "127.0.0.1:28443 65536", "127.0.0.1:28443 https"]),
}
SERVER_ONLY = ["H3Listen 28443", "H3MinWorkers 1", "H3MaxWorkers 2", "H3MaxWorkerIdleSeconds 5",
               "H3HandshakeTimeout 5", "H3GracefulTimeout 5", "H3MaxConnections 100",
               "H3SocketBufferSize 262144", "H3QlogDir run", "H3MaxMemSize 100000000"]


def place(httpd, text):
    """A pattern for the place of `text` in the configuration, in either form that httpd uses."""
    line = httpd.line_of(text)
    conf = re.escape(httpd.conf_file)
    return "(%s:%d\\b|line %d of %s)" % (conf, line, line, conf)


def says(httpd, output, text, *patterns):
    """One message names the place of `text` and matches all patterns."""
    at = place(httpd, text)
    # httpd puts a handler's message on the line after its place.
    joined = re.sub(r"(Syntax error on line \d+ of [^\n]*:)\n", r"\1 ", output)
    for line in joined.splitlines():
        if re.search(at, line) and all(re.search(p, line) for p in patterns):
            return
    raise AssertionError("no message with %s and %r in:\n%s" % (at, patterns, output))


def with_vhost(fresh_httpd, text="", body="", **options):
    httpd = fresh_httpd(site=False, **options)
    return httpd.add(text).vhost("h3.test", body)


@pytest.mark.parametrize("directive", sorted(DIRECTIVES))
def test_values_that_are_taken(fresh_httpd, directive):
    for value in DIRECTIVES[directive][0]:
        code, output = with_vhost(fresh_httpd, "%s %s" % (directive, value)).configtest()
        assert code == 0, output


@pytest.mark.parametrize("directive, value", [
    (d, v) for d in sorted(DIRECTIVES) for v in DIRECTIVES[d][1]])
def test_values_out_of_range(fresh_httpd, directive, value):
    httpd = with_vhost(fresh_httpd, "%s %s" % (directive, value))
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "%s %s" % (directive, value), directive)


@pytest.mark.parametrize("text", SERVER_ONLY)
def test_server_only(fresh_httpd, text):
    """What concerns the whole server has no place in a virtual host."""
    httpd = with_vhost(fresh_httpd, body=text)
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, text, text.split()[0])


def test_per_virtual_host(fresh_httpd):
    """Values of a virtual host are those of its connections."""
    httpd = fresh_httpd()
    httpd.add("H3MaxSessionStreams 50\nH3IdleTimeout 20")
    httpd.vhost("h3.test")
    httpd.vhost("other.h3.test", "H3MaxSessionStreams 7\nH3WindowSize 100000\n"
                "H3ConnWindowSize 200000\nH3IdleTimeout 5")
    httpd.start()
    with httpd.h3() as conn:
        assert conn.quic.peer_parameters.initial_max_streams_bidi == 50
        assert conn.quic.peer_parameters.max_idle_timeout == 20000
    with httpd.h3(sni="other.h3.test") as conn:
        assert conn.quic.peer_parameters.initial_max_streams_bidi == 7
        assert conn.quic.peer_parameters.initial_max_stream_data_bidi_remote == 100000
        assert conn.quic.peer_parameters.initial_max_data == 200000
        assert conn.quic.peer_parameters.max_idle_timeout == 5000


def test_min_workers_above_max(fresh_httpd):
    httpd = with_vhost(fresh_httpd, "H3MinWorkers 20\nH3MaxWorkers 10")
    code, output = httpd.configtest()
    assert code != 0, output
    assert "H3MinWorkers" in output and "H3MaxWorkers" in output


# -- TLS

def test_ssl_directives_without_mod_ssl(fresh_httpd):
    httpd = with_vhost(fresh_httpd, ssl=False)
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "SSLEngine on", "mod_ssl")


def test_missing_key(fresh_httpd):
    httpd = with_vhost(fresh_httpd, body="SSLCertificateKeyFile /nowhere.key")
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "/nowhere.key", "/nowhere.key")


def test_key_that_is_none(fresh_httpd, ca):
    httpd = fresh_httpd(site=False)
    broken = content.write(httpd.path("conf", "broken.key"), "no key at all\n")
    pair = ca.leaf()
    httpd.vhost("h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (pair.cert_file, broken), tls=False, port=httpd.port)
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "SSLCertificateKeyFile " + broken, "broken.key")


def test_certificate_that_is_none(fresh_httpd, ca):
    httpd = fresh_httpd(site=False)
    broken = content.write(httpd.path("conf", "broken.crt"), "no certificate at all\n")
    httpd.vhost("h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (broken, ca.leaf().key_file), tls=False,
                port=httpd.port)
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "SSLCertificateFile " + broken, "broken.crt")


def test_key_that_does_not_match(fresh_httpd, ca):
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (ca.leaf().cert_file, ca.leaf("second").key_file),
                tls=False, port=httpd.port)
    code, output = httpd.configtest()
    assert code != 0, output
    says(httpd, output, "SSLCertificateKeyFile " + ca.leaf("second").key_file, "match")


NOT_HONOURED = {
    "SSLProtocol TLSv1.2": "SSLProtocol",
    "SSLProtocol all -TLSv1.3": "SSLProtocol",
    "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384": "SSLCipherSuite",
    "SSLOpenSSLConfCmd SignatureAlgorithms ECDSA+SHA256": "SSLOpenSSLConfCmd",
    "SSLVerifyClient require": "SSLVerifyClient",
    "SSLVerifyClient optional": "SSLVerifyClient",
    "SSLVerifyClient optional_no_ca": "SSLVerifyClient",
}
HONOURED = ["SSLProtocol TLSv1.3", "SSLProtocol all -SSLv3", "SSLProtocol TLSv1.2 TLSv1.3",
            "SSLCipherSuite HIGH:!aNULL", "SSLOpenSSLConfCmd Groups X25519:P-256",
            "SSLVerifyClient none", "SSLHonorCipherOrder on", "SSLSessionTickets off",
            "SSLCompression off"]


@pytest.mark.parametrize("text", sorted(NOT_HONOURED))
def test_setting_that_http3_cannot_honour(fresh_httpd, ca, text):
    """A warning that names directive, file and line; HTTP/3 off for this virtual host alone."""
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test")
    httpd.vhost("other.h3.test", "SSLCACertificateFile %s\n%s" % (ca.file, text))
    code, output = httpd.configtest()
    assert code == 0, output
    says(httpd, output, text, NOT_HONOURED[text], r"other\.h3\.test", "warn")
    httpd.start()
    httpd.h3().close()
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3(sni="other.h3.test").close()
    assert info.value.transport and info.value.code == 0x170


@pytest.mark.parametrize("text", sorted(HONOURED))
def test_setting_that_http3_honours(fresh_httpd, text):
    httpd = with_vhost(fresh_httpd, body=text)
    code, output = httpd.configtest()
    assert code == 0 and "http3:warn" not in output, output
    httpd.start()
    httpd.h3().close()


def test_encrypted_key(fresh_httpd, ca):
    """mod_ssl asks for the pass phrase; HTTP/3 cannot, says so, and is off for this one."""
    httpd = fresh_httpd(site=False)
    pair = ca.leaf("encrypted", names=("encrypted.h3.test",))
    key = pair.encrypted_key_file()
    ask = content.write(httpd.path("conf", "pass"), "#!/bin/sh\necho secret\n", 0o755)
    httpd.add("SSLPassPhraseDialog exec:%s" % ask)
    httpd.vhost("h3.test")
    httpd.vhost("encrypted.h3.test", "SSLEngine on\nSSLCertificateFile %s\n"
                "SSLCertificateKeyFile %s\nProtocols h3 h2 http/1.1" % (pair.cert_file, key),
                tls=False, port=httpd.port)
    code, output = httpd.configtest()
    assert code == 0, output
    says(httpd, output, "SSLCertificateKeyFile " + key, "warn", "encrypted")
    httpd.start()
    httpd.h3().close()
    assert httpd.fetch("1.1", "/", sni="encrypted.h3.test").status in (200, 403, 404)
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3(sni="encrypted.h3.test").close()
    assert info.value.code == 0x170


def test_per_directory_access_control_is_warned_of(fresh_httpd, ca):
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test", "SSLCACertificateFile %s\n<Location /x>\nSSLVerifyClient require\n"
                "</Location>" % ca.file)
    code, output = httpd.configtest()
    assert code == 0, output
    says(httpd, output, "SSLVerifyClient require", "warn", "SSLVerifyClient")


def test_prefork(fresh_httpd):
    """HTTP/3 stays off with a warning; the rest works."""
    httpd = fresh_httpd(mpm="prefork")
    httpd.vhost("h3.test")
    code, output = httpd.configtest()
    assert code == 0 and re.search("http3:warn.*prefork", output), output
    httpd.start()
    assert procs.udp_sockets(httpd.parent) == {}
    assert httpd.fetch("1.1", "/small.txt").body == content.SMALL


def test_worker_mpm(fresh_httpd):
    httpd = fresh_httpd(mpm="worker")
    httpd.vhost("h3.test")
    httpd.start()
    for version in ("1.1", "2", "3"):
        assert httpd.fetch(version, "/small.txt").body == content.SMALL
        assert httpd.fetch(version, "/cgi-bin/echo.cgi", "POST", body=b"x").body == b"x"
    httpd.graceful()
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


# -- sockets

def test_udp_port_in_use(fresh_httpd):
    """Never shared in silence with another server of the same user, and TCP goes without."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("::", httpd.port))
        httpd.start()
        assert re.search(r"http3:crit[^\n]*ddress already in use[^\n]*%d" % httpd.port, httpd.log())
        assert httpd.udp_bound() == 0
        assert httpd.fetch("1.1", "/small.txt").status == 200


def test_second_server_cannot_take_the_port(fresh_httpd):
    first = fresh_httpd(site=False)
    first.vhost("h3.test")
    first.start()
    second = fresh_httpd(site=False, listen=False)
    tcp = second.new_port()
    second.add("Listen %d\nH3Listen %d %d" % (tcp, first.port, tcp))
    second.vhost("h3.test", port=tcp)
    second.start()
    assert "ddress already in use" in second.log()
    assert second.udp_bound(first.port) == 0


def test_nothing_without_h3_in_protocols(fresh_httpd):
    """Both modules loaded, no h3: no socket, no thread, no field, no line in Upgrade."""
    plain = fresh_httpd(protocols="h2 http/1.1", http3=False)
    loaded = fresh_httpd(protocols="h2 http/1.1", altsvc=True)
    for httpd in (plain, loaded):
        httpd.vhost("h3.test")
        httpd.start()
        httpd.fetch("2", "/small.txt")
    assert procs.udp_sockets(loaded.parent) == {}
    assert procs.threads(loaded.child()) == procs.threads(plain.child())
    assert sorted(procs.fds(loaded.parent)) == sorted(procs.fds(plain.parent))
    answers = [httpd.fetch(v, "/small.txt") for httpd in (plain, loaded) for v in ("1.1", "2")]
    assert not any(a.get("alt-svc") for a in answers)
    assert sorted(answers[0].fields)[1:] == sorted(answers[2].fields)[1:]
    with pytest.raises((TimeoutError, ConnectionEnded)):
        loaded.h3(timeout=1).close()


def test_h3_is_not_offered_over_tcp(fresh_httpd):
    """Core would put it into Upgrade, and mod_ssl is never to choose it by ALPN."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    httpd.start()
    upgrade = httpd.fetch("1.1", "/small.txt").get("upgrade")
    assert upgrade is None or "h3" not in upgrade
    from h3test.h1 import open_socket
    with open_socket("127.0.0.1", httpd.port, httpd.ca.file, sni="h3.test",
                     alpn=["h3", "h2"]) as sock:
        assert sock.selected_alpn_protocol() == "h2"


def test_notice_at_the_start(fresh_httpd):
    """One line says what is served and what is not, and why."""
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test")
    httpd.vhost("other.h3.test", protocols="h2 http/1.1")
    httpd.vhost("old.h3.test", "SSLProtocol TLSv1.2")
    httpd.start()
    lines = [line for line in httpd.log().splitlines() if "http3:notice" in line]
    assert len(lines) == 1, lines
    assert "UDP" in lines[0] and str(httpd.port) in lines[0] and "1 virtual host" in lines[0]
    assert "old.h3.test" in lines[0] and "SSLProtocol" in lines[0]


def test_version(fresh_httpd):
    """The line at the start and both forms of server-status say which mod_http3 this is."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "configure.ac"),
              encoding="utf-8") as script:
        version = "mod_http3/" + re.search(r"AC_INIT\(\[\w+\], \[(.+?)\]\)", script.read()).group(1)
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test")
    httpd.start()
    assert "1 virtual host (%s)" % version in httpd.log()
    assert httpd.status()["Http3Version"] == version
    with httpd.h1(tls=False, sni="status.test") as conn:
        assert "<dt>Version: %s</dt>" % version in conn.request("GET", "/server-status").text


DENIED = """<Location /denied>
    SSLVerifyClient require
    SSLVerifyDepth 1
</Location>
<Directory /denied>
    SSLRequire true
    SSLCipherSuite HIGH
</Directory>"""


@pytest.mark.parametrize("place, warned", [("with", 3), ("without", 0), ("main", 3)])
def test_warnings_concern_http3(fresh_httpd, place, warned):
    """What HTTP/3 denies does not matter where it is off; the main server's is everybody's."""
    httpd = fresh_httpd(site=False)
    httpd.add(DENIED if place == "main" else "")
    httpd.vhost("with.h3.test", DENIED if place == "with" else "")
    httpd.vhost("h3.test", DENIED if place == "without" else "", protocols="h2 http/1.1")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0 and output.count("AH20114") == warned, output
    assert output.count("denied over HTTP/3") == warned, output


def test_no_warning_where_nobody_has_http3(fresh_httpd):
    """Protocols h3 that plain virtual hosts inherit, and settings that would keep HTTP/3 off."""
    for options in ({}, {"mpm": "prefork"}):
        httpd = fresh_httpd(site=False, **options)
        httpd.add("Protocols h3 h2 http/1.1\nSSLProtocol TLSv1.2\nSSLVerifyClient require\n"
                  "H3Listen 127.0.0.1:1\n" + DENIED)
        httpd.vhost("h3.test", tls=False)
        httpd.vhost("tls.h3.test", protocols="h2 http/1.1")
        code, output = httpd.configtest()
        assert code == 0 and "http3:" not in output, output


def test_the_notice_names_no_host_that_wants_none(fresh_httpd):
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test").vhost("tcp.h3.test", protocols="h2 http/1.1")
    httpd.vhost("old.h3.test", "SSLProtocol TLSv1.2").start()
    (line,) = [line for line in httpd.log().splitlines() if "http3:notice" in line]
    assert "old.h3.test" in line and "tcp.h3.test" not in line


def odd_certificate(pair, path):
    """The pair's certificate as one of version 2, which has no extensions: OpenSSL takes it."""
    with open(pair.cert_file) as file:
        der = bytearray(ssl.PEM_cert_to_DER_cert(file.read()))
    at = der.index(bytes.fromhex("a003020102"))
    der[at + 4] = 1
    content.write(path, ssl.DER_cert_to_PEM_cert(bytes(der)))
    return path


@pytest.mark.parametrize("in_chain", [False, True])
def test_a_certificate_that_only_mod_ssl_can_read(fresh_httpd, ca, in_chain):
    """No mistake: TCP is served, HTTP/3 is off for that virtual host and on for the others."""
    httpd = fresh_httpd()
    pair = ca.leaf()
    odd = odd_certificate(pair, httpd.path("odd.pem"))
    if in_chain:
        with open(odd) as second, open(pair.cert_file) as first:
            content.write(odd, first.read() + second.read())
    httpd.vhost("odd.h3.test", "SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
                "Protocols h3 h2 http/1.1" % (odd, pair.key_file), tls=False, port=httpd.port)
    httpd.vhost("h3.test").start()
    assert re.search(r"http3:warn.*off for odd\.h3\.test.*odd\.pem: .*cannot be read", httpd.log())
    for name in ("odd.h3.test", "h3.test"):
        assert httpd.fetch("1.1", "/small.txt", sni=name, ca_file=None).body == content.SMALL
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


def test_several_children_are_one_group(fresh_httpd):
    """The parent binds a socket per slot, all of one group, and none is lost over restarts."""
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test")
    httpd.start()
    before = procs.udp_sockets(httpd.parent)
    assert len(before) >= 2
    httpd.graceful()
    assert procs.udp_sockets(httpd.parent) == before
    httpd.restart()
    assert procs.udp_sockets(httpd.parent) == before


def test_switched_off_by_a_graceful_restart(fresh_httpd):
    """Sockets that are no longer configured are closed; switched on again they come back."""
    httpd = fresh_httpd(site=False)
    httpd.vhost("h3.test", "Include %s/conf/protocols" % httpd.root, protocols="")
    protocols = httpd.path("conf", "protocols")
    content.write(protocols, "Protocols h3 h2 http/1.1\n")
    httpd.start()
    assert httpd.udp_bound()
    content.write(protocols, "Protocols h2 http/1.1\n")
    httpd.graceful()
    assert procs.udp_sockets(httpd.parent) == {}
    content.write(protocols, "Protocols h3 h2 http/1.1\n")
    httpd.graceful()
    httpd.h3().close()


def test_another_version_of_the_module_at_a_graceful_restart(fresh_httpd, monkeypatch):
    """In the same place it is not loaded. From another one it takes over the sockets of its like;
    those of another layout the old one closes, and the new one binds its own."""
    httpd = fresh_httpd()
    old, same, new = httpd.path("old.so"), httpd.path("same.so"), httpd.path("new.so")
    with open(os.environ["HTTP3_MODULE"], "rb") as file:
        code = file.read()
    other = code.replace(b"mod_http3 layout ", b"mod_http3 LAYOUT ")
    assert other != code
    for path, octets in ((old, code), (same, code), (new, other)):
        with open(path, "wb") as file:
            file.write(octets)
    monkeypatch.setenv("HTTP3_MODULE", old)
    httpd.vhost("h3.test").start()
    assert httpd.fetch("3", "/small.txt").status == 200
    os.rename(new, old)     # as package managers do it: the old file stays mapped
    httpd.graceful()
    assert httpd.fetch("3", "/small.txt").status == 200
    os.rename(old, new)
    before = procs.udp_sockets(httpd.parent)
    for module, is_like in ((same, True), (new, False), (same, False)):
        monkeypatch.setenv("HTTP3_MODULE", module)
        with httpd.h3() as conn:
            slow = conn.open("GET", "/cgi-bin/wait.cgi?1")
            conn.wait(lambda: httpd.gauge("Requests") == 1)
            httpd.graceful()
            assert httpd.fetch("1.1", "/small.txt").status == 200
            assert slow.finish().status in (200, 503)   # 503: mod_cgid had not begun it
        until(lambda: httpd.udp_bound() == len(before), 15, "its sockets are bound")
        assert httpd.fetch("3", "/small.txt").status == 200
        assert (procs.udp_sockets(httpd.parent) == before) == is_like
        before = procs.udp_sockets(httpd.parent)


def test_udp_port_in_use_at_a_graceful_restart(fresh_httpd):
    """What would be an error at the start must not end a server that runs."""
    httpd = fresh_httpd()
    other = httpd.new_port()
    include = httpd.path("conf", "listen")
    content.write(include, "H3Listen 127.0.0.1:%d\n" % httpd.port)
    httpd.add("Include %s" % include)
    httpd.vhost("h3.test").start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.1", other))
        for ports in ((other, httpd.port), (httpd.port, other)):
            content.write(include, "".join("H3Listen 127.0.0.1:%d %d\n" % (p, httpd.port)
                                           for p in ports))
            httpd.graceful()
            httpd.wait_log(r"http3:crit.*127\.0\.0\.1:%d.*goes on without it" % other)
            assert httpd.fetch("1.1", "/small.txt").status == 200
            assert httpd.fetch("3", "/small.txt").status == 200
    httpd.graceful()
    assert httpd.fetch("3", "/small.txt", port=other).status == 200


@pytest.mark.parametrize("text, h3", [("", True), ("SSLEngine off", False)])
def test_https_by_listen(fresh_httpd, ca, text, h3):
    """`Listen PORT https`, which port 443 is by itself, switches mod_ssl on without SSLEngine."""
    httpd = fresh_httpd(listen=False, altsvc=True)
    pair = ca.leaf()
    httpd.add("Listen 127.0.0.1:%d https\nListen 127.0.0.1:%d\nProtocols h3 h2 http/1.1\n"
              "AltSvc auto" % (httpd.port, httpd.clear_port))
    httpd.vhost("h3.test", "SSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s"
                % (pair.cert_file, pair.key_file, text), tls=False, port=httpd.port,
                address="127.0.0.1")
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0 and ("    Alt-Svc: h3=" in output) == h3, output
    httpd.start()
    if not h3:
        assert not httpd.udp_bound()
        return
    # Nothing is advertised while the child has not begun to accept.
    until(lambda: httpd.fetch("1.1", "/small.txt").get("alt-svc"), 10, "HTTP/3 is advertised")
    for version in ("1.1", "2", "3"):
        answer = httpd.fetch(version, "/small.txt")
        assert answer.status == 200 and answer.get("alt-svc"), version
