# SPDX-License-Identifier: Apache-2.0
"""Certificates, ciphers, groups, names and tickets: from the SSL* directives that are there."""
import pytest
from aioquic.tls import CipherSuite, Group, SignatureAlgorithm
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
    conn = httpd.h3(connect=False)
    begin = conn.quic._initialize

    def only_this_group(peer_cid):
        begin(peer_cid)
        conn.quic.tls._supported_groups = [group]
    conn.quic._initialize = only_this_group
    with conn:
        conn.connect()
        assert conn.request("GET", "/small.txt").body == content.SMALL
