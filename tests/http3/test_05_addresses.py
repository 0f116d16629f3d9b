# SPDX-License-Identifier: Apache-2.0
"""Addresses: answers come from the one that the client called, and a handler sees what it would
see over TCP, whatever kind of socket it was."""
import re

import pytest

from h3test import content, procs
from h3test.installed import has_ipv6
from h3test.response import ConnectionEnded
from h3test.wait import until

ipv6 = pytest.mark.skipif(not has_ipv6(), reason="the loopback interface has no ::1")


def env(response):
    return dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)


def check(httpd, address, local=None, authority="h3.test", port=None):
    """The same addresses over TCP and QUIC; returns what the CGI saw over QUIC."""
    path = "/cgi-bin/env.cgi"
    over_tcp = env(httpd.fetch("1.1", path, address=address, local=local, authority=authority))
    with httpd.h3(address, port, local=local) as conn:
        over_quic = env(conn.request("GET", path, authority=authority))
        assert conn.transport.strangers == [], "an answer came from another address"
        assert over_quic["REMOTE_PORT"] == str(conn.local_port)
    for name in ("REMOTE_ADDR", "SERVER_ADDR", "SERVER_PORT", "SERVER_NAME"):
        assert over_quic[name] == over_tcp[name], name
    assert "::ffff:" not in over_quic["REMOTE_ADDR"] + over_quic["SERVER_ADDR"]
    return over_quic


@pytest.fixture(scope="module")
def wildcard(make_httpd):
    """`Listen PORT`: one socket for IPv4 and IPv6, as Debian configures it."""
    httpd = make_httpd()
    httpd.add('LogFormat "%a %A" addresses')
    httpd.add("CustomLog %s addresses" % httpd.path("logs", "addresses"))
    httpd.vhost("h3.test", """
    <Location /only-one>
        Require ip 127.0.0.1
    </Location>
    Alias /only-one %s/small.txt
    """ % httpd.docs)
    second = httpd.path("htdocs", "list")
    httpd.vhost("h3.test", "DirectoryIndex one.txt", address="127.0.0.2", docs=second)
    return httpd.start()


@pytest.mark.sanitize
@pytest.mark.parametrize("address, local, server, client", [
    ("127.0.0.1", None, "127.0.0.1", "127.0.0.1"),
    ("127.0.0.2", None, "127.0.0.2", "127.0.0.1"),
    ("127.0.0.3", "127.0.0.3", "127.0.0.3", "127.0.0.3"),
    ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2")])
def test_wildcard_ipv4(wildcard, address, local, server, client):
    seen = check(wildcard, address, local or "127.0.0.1")
    assert (seen["SERVER_ADDR"], seen["REMOTE_ADDR"]) == (server, client)


@ipv6
def test_wildcard_ipv6(wildcard):
    seen = check(wildcard, "::1")
    assert (seen["SERVER_ADDR"], seen["REMOTE_ADDR"]) == ("::1", "::1")


def test_log_has_no_mapped_address(wildcard):
    def lines():
        return wildcard.read("logs", "addresses").splitlines()
    before = len(lines())
    wildcard.fetch("3", "/small.txt", local="127.0.0.5")
    until(lambda: "127.0.0.5 127.0.0.1" in lines()[before:], 10, "the request's line")
    assert not [line for line in lines() if "::ffff:" in line]


def test_virtual_host_by_address(wildcard):
    """The destination address of the datagram chooses, as the local address of a TCP connection."""
    for version in ("1.1", "3"):
        assert wildcard.fetch(version, "/", address="127.0.0.2").body == b"one\n"
        assert b"the index" in wildcard.fetch(version, "/", address="127.0.0.1").body


@pytest.mark.sanitize
def test_migration_to_another_address(wildcard):
    """Requests after a validated migration come from the new address, in logs and in access
    control, never before it is validated."""
    with wildcard.h3("127.0.0.1", local="127.0.0.1") as conn:
        assert conn.request("GET", "/only-one").status == 200
        conn.rebind("127.0.0.4").close()
        conn.quic.send_ping(1)
        conn.wait(lambda: re.search(r" 127\.0\.0\.4:%d: has migrated" % conn.local_port,
                                    wildcard.log()))
        assert env(conn.request("GET", "/cgi-bin/env.cgi"))["REMOTE_ADDR"] == "127.0.0.4"
        assert conn.request("GET", "/only-one").status == 403


@pytest.fixture(scope="module")
def single(make_httpd):
    """Addresses one by one."""
    httpd = make_httpd(address="127.0.0.1")
    if has_ipv6():
        httpd.add("Listen [::1]:%d" % httpd.port)
        httpd.vhost("h3.test", address="[::1]")
    httpd.vhost("h3.test")
    return httpd.start()


@pytest.mark.sanitize
def test_single_ipv4(single):
    assert check(single, "127.0.0.1")["SERVER_ADDR"] == "127.0.0.1"


@ipv6
def test_single_ipv6(single):
    assert check(single, "::1")["SERVER_ADDR"] == "::1"


def test_other_addresses_are_not_served(single):
    with pytest.raises((TimeoutError, ConnectionEnded)):
        single.h3("127.0.0.2", timeout=1.5).close()


def test_ipv4_wildcard(fresh_httpd):
    httpd = fresh_httpd(address="0.0.0.0")
    httpd.vhost("h3.test", address="*")
    httpd.start()
    assert check(httpd, "127.0.0.2", "127.0.0.1")["SERVER_ADDR"] == "127.0.0.2"


def test_sockets_mirror_the_tls_ports_only(single):
    """No UDP socket for clear text, nor anything else."""
    assert set(procs.udp_sockets(single.parent).values()) == {single.port}


def test_h3listen(fresh_httpd):
    """H3Listen opens its sockets instead of the default ones; a datagram there counts as a
    connection to the TCP port."""
    httpd = fresh_httpd()
    udp = httpd.new_port()
    httpd.add("H3Listen 127.0.0.1:%d %d" % (udp, httpd.port))
    httpd.vhost("h3.test")
    httpd.start()
    assert set(procs.udp_sockets(httpd.parent).values()) == {udp}
    seen = check(httpd, "127.0.0.1", port=udp)
    assert seen["SERVER_PORT"] in (str(httpd.port), "443")
    with pytest.raises((TimeoutError, ConnectionEnded)):
        httpd.h3(timeout=1.5).close()


def test_two_ports(fresh_httpd, ca):
    """Two TLS ports are two sockets, each with its own virtual hosts."""
    httpd = fresh_httpd()
    second = httpd.new_port()
    httpd.add("Listen %d" % second)
    httpd.vhost("h3.test")
    httpd.vhost("h3.test", port=second, docs=httpd.path("htdocs", "list"), pair=ca.leaf("second"))
    httpd.start()
    assert set(procs.udp_sockets(httpd.parent).values()) == {httpd.port, second}
    assert httpd.fetch("3", "/small.txt").body == content.SMALL
    with httpd.h3(port=second) as conn:
        assert conn.quic.server_certificate == ca.leaf("second").cert
        assert conn.request("GET", "/one.txt").body == b"one\n"
        assert conn.request("GET", "/small.txt").status == 404


def test_child_on_its_own_socket(single):
    """Every child holds the sockets of every slot, and no datagram has reached a wrong one."""
    assert single.gauge("ForeignDatagrams") == 0
