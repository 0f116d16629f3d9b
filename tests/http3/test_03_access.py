# SPDX-License-Identifier: Apache-2.0
"""Access control: HTTP/3 never allows what HTTP/1.1 over TLS on the same server denies.

mod_ssl skips its checks on connections that are not its own, so each of them would be an open
door. Both answers are asserted in every case: a denial over TCP that does not come proves nothing
about the one over QUIC."""
import base64
import ssl

import pytest

from h3test import content
from h3test.h1 import tls_context
from h3test.response import ConnectionEnded

UNRECOGNIZED_NAME = 0x170           # CRYPTO_ERROR and the TLS alert 112, RFC 9001 section 4.8

LOCATIONS = {
    "verify": "SSLVerifyClient require",
    "verify-optional": "SSLVerifyClient optional",
    "verify-depth": "SSLVerifyClient require\nSSLVerifyDepth 1",
    "sslrequire-true": 'SSLRequire %{SSL_PROTOCOL} eq "TLSv1.3"',
    "sslrequire-false": "SSLRequire %{SSL_CIPHER_USEKEYSIZE} >= 10000",
    "sslrequire-client": 'SSLRequire %{SSL_CLIENT_S_DN_CN} eq "test client"',
    "sslrequiressl": "SSLRequireSSL",
    "ciphersuite": "SSLCipherSuite ECDHE-RSA-AES256-GCM-SHA384",
    "require-ssl": "Require ssl",
    "require-verify-client": "Require ssl-verify-client",
    "require-not-verify-client": "<RequireAll>\nRequire all granted\nRequire not "
                                 "ssl-verify-client\n</RequireAll>",
    "ip-allowed": "Require ip 127.0.0.1",
    "ip-denied": "Require ip 192.0.2.1",
    "local": "Require local",
    "expr-protocol": "Require expr %{SSL_PROTOCOL} == 'TLSv1.3'",
    "expr-client": "Require expr %{SSL_CLIENT_VERIFY} == 'SUCCESS'",
    "expr-dn": "Require expr %{SSL_CLIENT_S_DN_CN} == 'test client'",
    "expr-https": "Require expr %{HTTPS} == 'on'",
    "expr-key-size": "Require expr %{SSL_CIPHER_USEKEYSIZE} -ge 10000",
    "if-no-client": "<If \"%{SSL_CLIENT_VERIFY} != 'SUCCESS'\">\nRequire all denied\n</If>",
    "if-no-https": "<If \"%{HTTPS} != 'on'\">\nRequire all denied\n</If>",
    "fake-basic": "SSLOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\n"
                  "AuthUserFile %(root)s/htpasswd\nRequire valid-user",
    "user-name": "SSLUserName SSL_CLIENT_S_DN_CN\nAuthType Basic\nAuthName x\n"
                 "AuthUserFile %(root)s/htpasswd\nRequire user \"test client\"",
}

# .htaccess files below /ht/: what AllowOverride All lets a user write.
HTACCESS = {
    "verify": "SSLVerifyClient require",
    "ciphersuite": "SSLCipherSuite ECDHE-RSA-AES256-GCM-SHA384",
    "sslrequiressl": "SSLRequireSSL",
    "require-verify-client": "Require ssl-verify-client",
    "expr-client": "Require expr %{SSL_CLIENT_VERIFY} == 'SUCCESS'",
}

# name: (status over HTTP/1.1 without a client certificate, statuses that HTTP/3 may answer).
# Where HTTP/3 may deny what TCP allows, it is because it cannot know.
EXPECTED = {
    "loc/verify": (403, {403, 421}),
    # The client of the tests cannot show one after the handshake, so mod_ssl denies.
    "loc/verify-optional": (403, {403, 421}),
    "loc/verify-depth": (403, {403, 421}),
    "loc/sslrequire-true": (200, {200, 403, 421}),
    "loc/sslrequire-false": (403, {403, 421}),
    "loc/sslrequire-client": (403, {403, 421}),
    "loc/sslrequiressl": (200, {200}),
    "loc/ciphersuite": (200, {403, 421}),
    "loc/require-ssl": (200, {200}),
    "loc/require-verify-client": (403, {403, 421}),
    "loc/require-not-verify-client": (200, {200, 403, 421}),
    "loc/ip-allowed": (200, {200}),
    "loc/ip-denied": (403, {403}),
    "loc/local": (200, {200}),
    "loc/expr-protocol": (200, {200}),
    "loc/expr-client": (403, {403, 421}),
    "loc/expr-dn": (403, {403, 421}),
    "loc/expr-https": (200, {200}),
    "loc/expr-key-size": (403, {403, 421}),
    "loc/if-no-client": (403, {403, 421}),
    "loc/if-no-https": (200, {200}),
    "loc/fake-basic": (401, {401, 403, 421}),
    "loc/user-name": (401, {401, 403, 421}),
    "ht/verify": (403, {403, 421}),
    "ht/ciphersuite": (200, {403, 421}),
    "ht/sslrequiressl": (200, {200}),
    "ht/require-verify-client": (403, {403, 421}),
    "ht/expr-client": (403, {403, 421}),
    "dir/verify": (403, {403, 421}),
    "files/verify.secret": (403, {403, 421}),
}


@pytest.fixture(scope="module")
def httpd(make_httpd, ca):
    httpd = make_httpd()
    for name in LOCATIONS:
        content.write(httpd.path("htdocs/loc", name, "index.html"), "secret of loc/%s\n" % name)
    for name, text in HTACCESS.items():
        content.write(httpd.path("htdocs/ht", name, "index.html"), "secret of ht/%s\n" % name)
        content.write(httpd.path("htdocs/ht", name, ".htaccess"), text + "\n")
    content.write(httpd.path("htdocs/dir/verify/index.html"), "secret of dir/verify\n")
    content.write(httpd.path("htdocs/files/verify.secret"), "secret of files/verify.secret\n")
    content.write(httpd.path("htdocs/leak/page.shtml"),
                  '<!--#include virtual="/loc/verify/index.html" -->\n'
                  '<!--#include virtual="/loc/expr-client/index.html" -->\n'
                  '<!--#include virtual="/ht/verify/index.html" -->\n')
    locations = "".join("<Location /loc/%s>\n%s\n</Location>\n" % (name, text.replace(
        "%(root)s", httpd.root)) for name, text in LOCATIONS.items())
    body = """
    SSLCACertificateFile %s
    %s
    <Directory %s/dir/verify>
        SSLVerifyClient require
    </Directory>
    <FilesMatch "\\.secret$">
        SSLVerifyClient require
    </FilesMatch>
    <Directory %s/leak>
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        AddType text/html .shtml
    </Directory>
    <Location /loc>
        DirectoryIndex index.html
    </Location>
    RewriteEngine on
    RewriteRule ^/rewritten/(.*)$ /loc/$1 [PT]
    """ % (ca.file, locations, httpd.docs, httpd.docs)
    httpd.vhost("h3.test", body)
    httpd.vhost("verify.h3.test", "SSLCACertificateFile %s\nSSLVerifyClient require" % ca.file)
    httpd.vhost("optional.h3.test", "SSLCACertificateFile %s\nSSLVerifyClient optional" % ca.file)
    # SSLVHostSNIPolicy's default wants the same policy: the same certificate and CA.
    same = "SSLCACertificateFile %s" % ca.file
    httpd.vhost("noh3.h3.test", same, protocols="h2 http/1.1")
    httpd.vhost("other.h3.test", same, aliases=["alias.h3.test"])
    httpd.vhost("noca.h3.test")
    httpd.vhost("othercert.test", pair=ca.leaf("othercert", names=("othercert.test",)))
    return httpd.start()


@pytest.mark.sanitize
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_table(httpd, name):
    over_tcp, over_quic = EXPECTED[name]
    path = "/%s" % name if "." in name else "/%s/" % name
    answer = httpd.fetch("1.1", path, tls13=True)
    assert answer.status == over_tcp, "over TCP"
    answer = httpd.fetch("3", path)
    assert answer.status in over_quic, "over QUIC"
    assert (b"secret of" in answer.body) == (answer.status == 200)


def with_certificate(httpd, ca, path, sni="h3.test"):
    """HTTP/1.1 with a client certificate, also asked for after the handshake (RFC 8446, 4.6.2)."""
    context = tls_context(httpd.ca.file, ["http/1.1"], ca.client())
    context.post_handshake_auth = True
    conn = httpd.h1(tls=False, port=httpd.port, sni=sni)
    conn.sock = context.wrap_socket(conn.sock, server_hostname=sni)
    with conn:
        return conn.request("GET", path)


@pytest.mark.parametrize("name", [
    "loc/verify", "loc/sslrequire-client", "loc/require-verify-client", "loc/expr-client",
    "loc/expr-dn", "loc/if-no-client", "ht/verify", "dir/verify"])
def test_a_certificate_opens_it_over_tcp(httpd, ca, name):
    """The denials of the table are those of access control, not of a broken configuration."""
    if name in ("loc/verify", "ht/verify", "dir/verify"):
        assert with_certificate(httpd, ca, "/%s/" % name).status == 200
    else:
        # These do not ask for a certificate themselves; the virtual host has to.
        assert with_certificate(httpd, ca, "/%s/" % name).status == 403


def refused(httpd, sni):
    with pytest.raises(ConnectionEnded) as info:
        httpd.h3(sni=sni, verify=False).close()
    return info.value


@pytest.mark.sanitize
@pytest.mark.parametrize("sni", ["verify.h3.test", "optional.h3.test", "noh3.h3.test"])
def test_virtual_host_without_http3_is_refused_by_name(httpd, sni):
    """Never another host's certificate for this name."""
    how = refused(httpd, sni)
    assert how.transport and how.code == UNRECOGNIZED_NAME


@pytest.mark.sanitize
@pytest.mark.parametrize("authority", ["verify.h3.test", "optional.h3.test", "noh3.h3.test",
                                       "noca.h3.test", "othercert.test"])
def test_misdirected_request(httpd, authority):
    """421 on a connection that was made for another name, so that the client comes again."""
    with httpd.h3() as conn:
        answer = conn.request("GET", "/small.txt", authority=authority)
        assert answer.status == 421 and content.SMALL not in answer.body
        assert conn.request("GET", "/small.txt").status == 200


@pytest.mark.parametrize("authority", ["verify.h3.test", "optional.h3.test", "noca.h3.test",
                                       "othercert.test"])
def test_misdirected_over_tcp(httpd, authority):
    """The 421 of HTTP/3 above are those of mod_ssl."""
    assert httpd.fetch("1.1", "/small.txt", authority=authority).status == 421


def test_virtual_host_that_wants_a_certificate_over_tcp(httpd, ca):
    with pytest.raises((ConnectionEnded, ssl.SSLError, OSError)):
        httpd.fetch("1.1", "/small.txt", sni="verify.h3.test")
    answer = with_certificate(httpd, ca, "/small.txt", "verify.h3.test")
    assert (answer.status, answer.body) == (200, content.SMALL)


@pytest.mark.parametrize("authority", ["other.h3.test", "alias.h3.test", "h3.test"])
def test_sibling_with_the_same_policy_is_served(httpd, authority):
    assert httpd.fetch("1.1", "/small.txt", authority=authority).status == 200
    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt", authority=authority).status == 200


@pytest.mark.parametrize("sni, certificate", [
    ("h3.test", "h3"), ("other.h3.test", "h3"), ("alias.h3.test", "h3"),
    ("othercert.test", "othercert"), ("OtherCert.TEST", "othercert")])
def test_certificate_by_name(httpd, ca, sni, certificate):
    with httpd.h3(sni=sni) as conn:
        assert conn.quic.server_certificate == ca.leaf(certificate).cert
        assert conn.request("GET", "/small.txt").status == 200


def test_no_name_gets_the_default_virtual_host(httpd, ca):
    with httpd.h3(sni=None) as conn:
        assert conn.quic.server_certificate == ca.leaf().cert
        assert conn.request("GET", "/small.txt", authority="h3.test").status == 200


def test_no_name_opens_no_other_policy(httpd):
    with httpd.h3(sni=None) as conn:
        for authority in ("verify.h3.test", "noh3.h3.test", "othercert.test"):
            assert conn.request("GET", "/small.txt", authority=authority).status == 421


def test_strict_sni(fresh_httpd):
    """SSLStrictSNIVHostCheck: without a name 403 over TCP, and no 200 over QUIC."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test", "SSLStrictSNIVHostCheck on")
    httpd.vhost("other.h3.test")
    httpd.start()
    assert httpd.fetch("1.1", "/small.txt", sni=None, authority="h3.test").status == 403
    assert httpd.fetch("1.1", "/small.txt").status == 200
    try:
        with httpd.h3(sni=None) as conn:
            assert conn.request("GET", "/small.txt", authority="h3.test").status in (403, 421)
    except ConnectionEnded as exc:
        assert exc.transport and exc.code == UNRECOGNIZED_NAME


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/rewritten/verify/", "/rewritten/expr-client/",
                                  "/rewritten/sslrequire-false/"])
def test_rewriting_opens_no_door(httpd, path):
    assert httpd.fetch("1.1", path).status == 403
    assert httpd.fetch("3", path).status in (403, 421)


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1.1", "3"])
def test_including_opens_no_door(httpd, version):
    answer = httpd.fetch(version, "/leak/page.shtml")
    assert answer.status == 200 and b"secret of" not in answer.body


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1.1", "3"])
def test_basic_auth(httpd, version):
    def status(user, password):
        token = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
        fields = [("Authorization", "Basic " + token)]
        return httpd.fetch(version, "/private/", fields=fields).status

    assert httpd.fetch(version, "/private/").status == 401
    assert status(content.USER, "wrong") == 401
    assert status("mallory", content.PASSWORD) == 401
    assert status(content.USER, content.PASSWORD) == 200


@pytest.mark.parametrize("version", ["1.1", "3"])
def test_head_and_other_methods_are_denied_too(httpd, version):
    for method in ("HEAD", "POST", "OPTIONS"):
        answer = httpd.fetch(version, "/loc/verify/", method)
        assert answer.status in (403, 421), method


def test_warnings_at_the_start(httpd):
    """Each directory that HTTP/3 cannot serve is named, with file and line."""
    log = httpd.log()
    for text in ("SSLVerifyClient", "SSLCipherSuite", "SSLRequire"):
        assert any("http3:warn" in line and text in line and "httpd.conf:" in line
                   for line in log.splitlines()), text


@pytest.fixture(scope="module")
def satisfy(make_httpd):
    """SSLRequireSSL beside a checker that denies (mod_access_compat)."""
    httpd = make_httpd()
    content.write(httpd.path("htdocs/err/index.html"), "an error page\n")
    with open(httpd.path("htpasswd"), "a") as file:
        file.write("/CN=test client:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")   # "password"
    auth = ("AuthType Basic\nAuthName x\nAuthUserFile %s/htpasswd\nRequire valid-user\n"
            % httpd.root)
    deny = "SSLRequireSSL\nOrder allow,deny\nDeny from all\n"
    httpd.vhost("h3.test", """
    SSLProxyEngine on
    SSLProxyCheckPeerName off
    ProxyPass /any https://127.0.0.1:%d/small.txt
    <Location /any>
        Satisfy Any
        %s
    </Location>
    <Location /denied>
        %s
        Header always set X-From denied
        ErrorDocument 403 /err/index.html
    </Location>
    <Location /err>
        Header always set X-From err
    </Location>
    <Location /fake>
        SSLOptions +FakeBasicAuth
        %s
    </Location>
    """ % (httpd.port, deny + auth, deny, auth))
    return httpd.start()


def basic(user, password):
    return [("Authorization", "Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode())]


@pytest.mark.parametrize("version", ["1.1", "3"])
def test_an_error_page_is_no_part_of_the_directory_that_denied(satisfy, version):
    answer = satisfy.fetch(version, "/denied")
    assert (answer.status, answer.get_all("x-from")) == (403, ["err"])


@pytest.mark.parametrize("version", ["1.1", "3"])
def test_satisfy_any_leaves_mod_ssl_its_settings(satisfy, version):
    """They are the proxy's too: a client let in by password after a denial reaches the backend."""
    assert satisfy.fetch(version, "/any").status == 401
    answer = satisfy.fetch(version, "/any", fields=basic(content.USER, content.PASSWORD))
    assert (answer.status, answer.body) == (200, content.SMALL)


@pytest.mark.parametrize("version", ["1.1", "3"])
def test_a_distinguished_name_is_no_user_name(satisfy, version):
    """FakeBasicAuth: its password is known to everybody, only a certificate may give it."""
    assert satisfy.fetch(version, "/fake/", fields=basic("/CN=test client", "password")
                         ).status == 403
