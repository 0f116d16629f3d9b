# SPDX-License-Identifier: Apache-2.0
"""Certificates that mod_md gets by ACME: HTTP/3 has them when mod_ssl has them."""
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import DNSName, SubjectAlternativeName

from h3test import content
from h3test.acme import Pebble
from h3test.wait import until

READY = r"AH10059: The Managed Domain h3\.test has been setup"


@pytest.fixture
def pebble(ca, tmp_path):
    server = Pebble(ca, str(tmp_path))
    yield server
    server.stop()


def managed(make, ca, pebble, domains="h3.test", text="", body=""):
    """A virtual host that has no certificate but mod_md's. Each one is to be renewed at once."""
    httpd = make(modules=("md",), altsvc=True)
    httpd.add("""MDCertificateAuthority {url}
MDCACertificateFile {ca}
MDCertificateAgreement accepted
MDContactEmail admin@h3.test
MDStoreDir {root}/md
MDPortMap http:{clear} https:{port}
MDRenewWindow 3599s
MDRetryDelay 1s
AltSvc auto
{text}
MDomain {domains}""".format(url=pebble.url, ca=ca.file, root=httpd.root, clear=httpd.clear_port,
                            port=httpd.port, text=text, domains=domains))
    httpd.vhost("h3.test", "SSLEngine on\n" + body, tls=False, port=httpd.port)
    httpd.conf.replace("SSLEngine on", "SSLEngine on\nProtocols h3 h2 http/1.1")
    return httpd.start()


def order(httpd, after=0):
    """Until mod_md asks for the restart that brings the certificate; then that restart."""
    httpd.wait_log(READY, 60, after=after)
    before = len(httpd.log())
    httpd.graceful()
    return before


def certificate(httpd, pebble, sni="h3.test", **options):
    with httpd.h3(ca_file=pebble.root_file, sni=sni, **options) as conn:
        assert conn.request("GET", "/small.txt").body == content.SMALL
        return conn.quic.server_certificate


def names_of(cert):
    return sorted(cert.extensions.get_extension_for_class(
        SubjectAlternativeName).value.get_values_for_type(DNSName))


def test_first_certificate_and_the_next(fresh_httpd, ca, pebble):
    """HTTP/3 is off with mod_md's fallback, up with the first certificate, and follows the next."""
    httpd = managed(fresh_httpd, ca, pebble)
    assert re.search(r"http3:warn.*HTTP/3 is off for h3\.test.*fallback certificate", httpd.log())
    assert httpd.fetch("1.1", "/small.txt", ca_file=None).status == 503
    assert httpd.udp_bound() == 0, "clients would wait in silence"

    mark = order(httpd)
    assert "AH20115" not in httpd.log()[mark:], httpd.log()[mark:]
    first = certificate(httpd, pebble)
    assert names_of(first) == ["h3.test"]
    until(lambda: httpd.fetch("1.1", "/small.txt", ca_file=pebble.root_file).get("alt-svc"), 10,
          "HTTP/3 is announced")

    mark = order(httpd, mark)
    second = certificate(httpd, pebble)
    assert second.serial_number != first.serial_number
    assert "AH20115" not in httpd.log()[mark:]


def test_two_keys_and_several_names(fresh_httpd, ca, pebble):
    """An RSA and an ECDSA certificate for two names; the client chooses by its signatures."""
    from aioquic.tls import SignatureAlgorithm
    httpd = managed(fresh_httpd, ca, pebble, "h3.test www.h3.test",
                    "MDPrivateKeys RSA 2048 secp256r1", "ServerAlias www.h3.test")
    order(httpd)
    wanted = {rsa.RSAPublicKey: [SignatureAlgorithm.RSA_PSS_RSAE_SHA256],
              ec.EllipticCurvePublicKey: [SignatureAlgorithm.ECDSA_SECP256R1_SHA256]}
    for kind, algorithms in wanted.items():
        for sni in ("h3.test", "www.h3.test"):
            # The intermediates are RSA's, so its signatures on them have to be allowed, too.
            got = certificate(httpd, pebble, sni, signature_algorithms=algorithms + [
                SignatureAlgorithm.RSA_PKCS1_SHA256])
            assert isinstance(got.public_key(), kind)
            assert names_of(got) == ["h3.test", "www.h3.test"]


def test_static_files_of_a_managed_domain(fresh_httpd, ca):
    """MDCertificateFile: no order, up from the first start."""
    httpd = fresh_httpd(modules=("md",))
    pair = ca.leaf()
    httpd.add("MDStoreDir %s/md\n<MDomain h3.test>\n    MDCertificateFile %s\n"
              "    MDCertificateKeyFile %s\n</MDomain>" % (
                  httpd.root, pair.cert_file, pair.key_file))
    httpd.vhost("h3.test", "SSLEngine on\nProtocols h3 h2 http/1.1", tls=False,
                port=httpd.port).start()
    assert "AH20115" not in httpd.log()
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


def test_beside_files_of_ones_own(fresh_httpd, ca):
    """SSLCertificateFile and a managed domain: mod_ssl has both, and so has HTTP/3."""
    httpd = fresh_httpd(modules=("md",))
    one, other = ca.leaf(), ca.leaf("beside", "rsa")
    httpd.add("MDStoreDir %s/md\n<MDomain h3.test>\n    MDCertificateFile %s\n"
              "    MDCertificateKeyFile %s\n</MDomain>" % (
                  httpd.root, other.cert_file, other.key_file))
    httpd.vhost("h3.test", pair=one).start()
    from aioquic.tls import SignatureAlgorithm
    for pair, algorithm in ((one, SignatureAlgorithm.ECDSA_SECP256R1_SHA256),
                            (other, SignatureAlgorithm.RSA_PSS_RSAE_SHA256)):
        with httpd.h3(signature_algorithms=[algorithm]) as conn:
            assert conn.quic.server_certificate == pair.cert
