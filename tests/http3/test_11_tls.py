# SPDX-License-Identifier: Apache-2.0
"""Certificates, ciphers, groups, names and tickets: from the SSL* directives that are there."""
import re

import pytest
from aioquic.tls import CipherSuite, Group, SignatureAlgorithm
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from h3test import content
from h3test.response import ConnectionEnded
from h3test.wait import until

ECDSA = [SignatureAlgorithm.ECDSA_SECP256R1_SHA256]
RSA = [SignatureAlgorithm.RSA_PSS_RSAE_SHA256]


def raw_vhost(httpd, name, text):
    """A TLS virtual host of which the test writes the certificate directives."""
    httpd.vhost(name, "SSLEngine on\nProtocols h3 h2 http/1.1\n" + text, tls=False,
                port=httpd.port)


@pytest.fixture(scope="module")
def httpd(make_httpd, ca):
    httpd = make_httpd()
    both = [ca.leaf("both-ec", names=("both.test",)),
            ca.leaf("both-rsa", "rsa", names=("both.test",))]
    httpd.vhost("h3.test")
    raw_vhost(httpd, "both.test", "".join(
        "SSLCertificateFile %s\nSSLCertificateKeyFile %s\n" % (p.cert_file, p.key_file)
        for p in both))
    rsa_only = ca.leaf("rsa", "rsa", names=("rsa.test",))
    raw_vhost(httpd, "rsa.test", "SSLCertificateFile %s\nSSLCertificateKeyFile %s"
              % (rsa_only.cert_file, rsa_only.key_file))
    combined = ca.leaf("combined", chained=True, names=("combined.test",))
    raw_vhost(httpd, "combined.test", "SSLCertificateFile %s" % combined.combined_file)
    chain = ca.leaf("chain", chained=True, names=("chain.test",))
    raw_vhost(httpd, "chain.test", "SSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
              "SSLCertificateChainFile %s" % (chain.cert_file, chain.key_file, chain.chain_file))
    full = ca.leaf("full", chained=True, names=("full.test",))
    raw_vhost(httpd, "full.test", "SSLCertificateFile %s\nSSLCertificateKeyFile %s"
              % (full.fullchain_file, full.key_file))
    wild = ca.leaf("wild", names=("*.wild.test",))
    raw_vhost(httpd, "www.wild.test", "ServerAlias *.wild.test\nSSLCertificateFile %s\n"
              "SSLCertificateKeyFile %s" % (wild.cert_file, wild.key_file))
    httpd.vhost("notickets.h3.test", "SSLSessionTickets off")
    return httpd.start()


def served(httpd, sni, **options):
    with httpd.h3(sni=sni, **options) as conn:
        assert conn.request("GET", "/small.txt").body == content.SMALL
        return conn.quic


@pytest.mark.sanitize
@pytest.mark.parametrize("algorithms, kind", [
    (ECDSA, ec.EllipticCurvePublicKey), (RSA, rsa.RSAPublicKey)])
def test_certificate_that_the_client_accepts(httpd, algorithms, kind):
    """RSA and ECDSA side by side."""
    quic = served(httpd, "both.test", signature_algorithms=algorithms)
    assert isinstance(quic.server_certificate.public_key(), kind)


@pytest.mark.sanitize
def test_rsa(httpd, ca):
    assert served(httpd, "rsa.test").server_certificate == ca.leaf("rsa").cert


def test_no_certificate_that_the_client_accepts(httpd):
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3(sni="rsa.test", signature_algorithms=ECDSA).close()
    assert info.value.transport and info.value.code in (0x128, 0x12f)


@pytest.mark.parametrize("name", ["combined", "chain", "full"])
def test_chain(httpd, ca, name):
    """The intermediate is sent, wherever it was configured; the client knows the root only."""
    quic = served(httpd, name + ".test")
    assert quic.server_certificate == ca.leaf(name).cert
    assert [c.fingerprint(c.signature_hash_algorithm) for c in quic.server_chain] == [
        c.fingerprint(c.signature_hash_algorithm) for c in [ca.intermediate().cert]]


@pytest.mark.parametrize("name", ["www.wild.test", "a.wild.test", "B.Wild.Test"])
def test_wildcard(httpd, ca, name):
    assert served(httpd, name).server_certificate == ca.leaf("wild").cert


@pytest.mark.sanitize
@pytest.mark.parametrize("suite", [
    CipherSuite.AES_128_GCM_SHA256, CipherSuite.AES_256_GCM_SHA384,
    CipherSuite.CHACHA20_POLY1305_SHA256])
def test_ciphers(httpd, suite):
    quic = served(httpd, "h3.test", cipher_suites=[suite])
    assert quic.cipher == suite.name


@pytest.mark.parametrize("sni", ["h3.test", "both.test"])
def test_tickets_resume(httpd, sni):
    with httpd.h3(sni=sni) as conn:
        conn.wait(lambda: conn.tickets)
        assert not conn.handshake.session_resumed
        ticket = conn.tickets[-1]
    before = httpd.gauge("Resumed")
    with httpd.h3(sni=sni, ticket=ticket) as conn:
        assert conn.handshake.session_resumed
        assert not conn.handshake.early_data_accepted
        assert conn.request("GET", "/small.txt").body == content.SMALL
    assert httpd.gauge("Resumed") == before + 1


def test_ticket_of_another_virtual_host_resumes_nothing_there(httpd, ca):
    """A session is bound to its trust domain; at worst there is a full handshake."""
    with httpd.h3(sni="rsa.test") as conn:
        conn.wait(lambda: conn.tickets)
        ticket = conn.tickets[-1]
    with httpd.h3(sni="both.test", ticket=ticket, verify=False) as conn:
        assert not conn.handshake.session_resumed
        assert conn.quic.server_certificate in (ca.leaf("both-ec").cert, ca.leaf("both-rsa").cert)
        assert conn.request("GET", "/small.txt", authority="both.test").status == 200


def test_no_tickets(httpd):
    """SSLSessionTickets off."""
    with httpd.h3(sni="notickets.h3.test") as conn:
        conn.request("GET", "/small.txt")
        conn.pump(0.3)
        assert conn.tickets == []


def test_ticket_over_a_graceful_restart(fresh_httpd):
    """The keys outlive the children, and a restart."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    httpd.start()
    with httpd.h3() as conn:
        conn.wait(lambda: conn.tickets)
        ticket = conn.tickets[-1]
    old = httpd.child()
    httpd.graceful()
    until(lambda: httpd.child() != old, 20, "another child")
    with httpd.h3(ticket=ticket) as conn:
        assert conn.handshake.session_resumed
        conn.wait(lambda: conn.tickets)
        ticket = conn.tickets[-1]
    httpd.restart()
    with httpd.h3(ticket=ticket) as conn:
        assert conn.handshake.session_resumed
        assert conn.request("GET", "/small.txt").body == content.SMALL


def test_ticket_without_early_data(httpd):
    """0-RTT is off: a ticket allows none."""
    with httpd.h3() as conn:
        conn.wait(lambda: conn.tickets)
        assert not conn.tickets[-1].max_early_data_size


def test_replaced_certificate_is_served_after_a_graceful_restart(fresh_httpd, ca):
    httpd = fresh_httpd()
    first, second = ca.leaf("replaced-1"), ca.leaf("replaced-2")
    cert, key = httpd.path("conf", "site.crt"), httpd.path("conf", "site.key")

    def install(pair):
        for source, target in ((pair.cert_file, cert), (pair.key_file, key)):
            with open(source) as text:
                content.write(target, text.read())

    install(first)
    raw_vhost(httpd, "h3.test", "SSLCertificateFile %s\nSSLCertificateKeyFile %s" % (cert, key))
    httpd.start()
    with httpd.h3() as conn:
        assert conn.quic.server_certificate == first.cert
    install(second)
    httpd.graceful()

    def now_served():
        with httpd.h3() as conn:
            return conn.quic.server_certificate == second.cert
    until(now_served, 10, "the new certificate is served")


def test_key_that_only_root_may_read(httpd, ca):
    """Keys are read by the parent; the children run as another user."""
    import os
    assert os.stat(ca.leaf().key_file).st_mode & 0o077 == 0
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


@pytest.mark.parametrize("group", [Group.X25519, Group.SECP256R1, Group.SECP384R1])
def test_groups(httpd, group):
    """A client that offers one group only."""
    with httpd.h3(groups=[group]) as conn:
        assert conn.request("GET", "/small.txt").body == content.SMALL


# mod_ssl's names, from its own table (ssl_engine_vars.c), with the numbers that they may have.
OF_CERTIFICATES = (
    ["M_VERSION", "M_SERIAL", "V_START", "V_END", "V_REMAIN", "S_DN", "I_DN", "A_SIG", "A_KEY",
     "CERT", "SAN_Email_0", "SAN_DNS_0", "SAN_DNS_1", "SAN_DNS_9", "SAN_NONE_0"]
    + ["%s_DN_%s%s" % (whose, part, suffix) for whose in "SI"
       for part in ("C", "ST", "SP", "L", "O", "OU", "CN", "T", "I", "G", "S", "D", "UID", "Email",
                    "NONE")
       for suffix in ("", "_0", "_1", "_RAW", "_0_RAW")])
VARIABLES = (
    ["PROTOCOL", "SESSION_ID", "SESSION_RESUMED", "CIPHER", "CIPHER_EXPORT", "CIPHER_USEKEYSIZE",
     "CIPHER_ALGKEYSIZE", "COMPRESS_METHOD", "TLS_SNI", "SECURE_RENEG", "CLIENT_VERIFY",
     "CLIENT_CERT_CHAIN_0", "CLIENT_CERT_RFC4523_CEA", "SRP_USER", "SRP_USERINFO",
     "VERSION_PRODUCT", "VERSION_INTERFACE", "VERSION_LIBRARY", "VERSION_NONE", "NONE"]
    + ["%s_%s" % (whose, name) for whose in ("SERVER", "CLIENT") for name in OF_CERTIFICATES])
# Of one connection: both have a value, but not the same.
OF_A_CONNECTION = ["SESSION_ID"]
# Denied, because we cannot say whether there is one; over TCP it is empty for this certificate.
DENIED = ["SERVER_SAN_OTHER_msUPN_0", "SERVER_SAN_OTHER_dnsSRV_0"]


@pytest.fixture(scope="module")
def named(make_httpd, ca):
    """A server whose certificate has something of everything, and which shows each variable."""
    oid = NameOID
    parts = [(oid.COUNTRY_NAME, "DE"), (oid.STATE_OR_PROVINCE_NAME, "Land"),
             (oid.LOCALITY_NAME, "Ort"), (oid.ORGANIZATION_NAME, "Münch & Söhne, \"+\" <x>"),
             (oid.ORGANIZATIONAL_UNIT_NAME, "first"), (oid.ORGANIZATIONAL_UNIT_NAME, "second"),
             (oid.COMMON_NAME, "named.test"), (oid.TITLE, "Dr"), (oid.INITIALS, "AB"),
             (oid.GIVEN_NAME, "Anna"), (oid.SURNAME, "Beispiel"), (oid.USER_ID, "anna"),
             (x509.ObjectIdentifier("2.5.4.13"), "described"), (oid.SERIAL_NUMBER, "17"),
             (oid.EMAIL_ADDRESS, "anna@named.test")]
    pair = ca.leaf("named", names=("named.test", "www.named.test"), subject=x509.Name(
        [x509.NameAttribute(kind, value) for kind, value in parts]))
    httpd = make_httpd()
    httpd.add("MaxKeepAliveRequests 0")
    httpd.vhost("h3.test")
    lines = ["Header set X-%d \"expr=[%%{SSL_%s}]\"\nHeader set S-%d \"[%%{SSL_%s}s]\"" % (
        n, name, n, name) for n, name in enumerate(VARIABLES) if not name.endswith("_CERT")]
    lines += ["<Location /denied/%s>\nRequire expr %%{SSL_%s} == ''\n</Location>" % (name, name)
              for name in DENIED + VARIABLES]
    lines += ["Alias /denied/%s %s/small.txt" % (name, httpd.docs) for name in DENIED + VARIABLES]
    httpd.vhost("named.test", "\n".join(lines), pair=pair)
    return httpd.start()


def test_every_variable_of_mod_ssl(named):
    """The same value over HTTP/3 as over TLS 1.3 on TCP, in expressions and in header formats."""
    over_tcp = named.fetch("1.1", "/small.txt", sni="named.test", tls13=True)
    over_quic = named.fetch("3", "/small.txt", sni="named.test")
    differ = []
    for n, name in enumerate(VARIABLES):
        for kind in "xs":
            pair = [answer.get("%s-%d" % (kind, n)) for answer in (over_tcp, over_quic)]
            if name in OF_A_CONNECTION:
                assert all(re.fullmatch(r"\[[0-9a-f]{64}\]", value) for value in pair)
                assert pair[0] != pair[1]
            elif name == "CIPHER":
                assert all(value.startswith("[TLS_") for value in pair)
            elif pair[0] != pair[1] and not name.startswith("CIPHER_"):
                differ.append((kind, name, *pair))
    assert not differ


@pytest.mark.sanitize
def test_what_asks_for_an_empty_variable(named):
    """HTTP/3 is never let in where TCP is not."""
    names = DENIED + VARIABLES
    with named.h1(sni="named.test", tls13=True) as tcp, named.h3(sni="named.test") as quic:
        statuses = {name: tuple(conn.request("GET", "/denied/" + name).status
                                for conn in (tcp, quic)) for name in names}
    assert {statuses[name] for name in DENIED} == {(200, 403)}
    assert {statuses[name] for name in VARIABLES} == {(200, 200), (403, 403)}
    assert statuses["SESSION_ID"] == (403, 403)


@pytest.mark.sanitize
def test_session_id(named):
    """The same for all requests of a connection, for no other one, resumed or not."""
    def session_id(conn):
        return conn.request("GET", "/small.txt").get("x-%d" % VARIABLES.index("SESSION_ID"))
    with named.h3(sni="named.test") as one, named.h3(sni="named.test") as two:
        seen = [session_id(one), session_id(two)]
        assert session_id(one) == seen[0] != seen[1] == session_id(two)
        one.wait(lambda: one.tickets)
        ticket = one.tickets[-1]
    with named.h3(sni="named.test", ticket=ticket) as again:
        assert again.handshake.session_resumed
        seen.append(session_id(again))
    assert len(set(seen)) == 3
