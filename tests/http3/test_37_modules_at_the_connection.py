# SPDX-License-Identifier: Apache-2.0
"""What other modules do to a connection: its socket, its memory, its client's name."""
import ctypes.util
import os
import re

import pytest

from h3test import cc, content, procs
from h3test.cc import guest  # noqa: F401  (a fixture)
from h3test.installed import MODULE_DIR, has_module
from h3test.load import load
from h3test.response import ConnectionEnded, StreamEnded
from h3test.wait import until

REQUEST_CANCELLED = 0x10c


# ---- the socket

@pytest.fixture(scope="module")
def httpd(make_httpd, guest):  # noqa: F811
    httpd = make_httpd()
    # Few workers, so that what one request has done to a socket would meet the next.
    httpd.add(guest + "H3MinWorkers 2\nH3MaxWorkers 2")
    httpd.vhost("h3.test", "<Location /guest>\nSetHandler guest\n</Location>")
    return httpd.start()


@pytest.mark.sanitize
@pytest.mark.parametrize("how", ["close", "close-of-master", "close-behind-the-head",
                                 "close-and-say-nothing"])
def test_who_closes_the_socket_ends_the_stream(httpd, how):
    """A reset, never the answer; and nothing but this stream is hurt, then or later."""
    with httpd.h3() as conn, httpd.h3() as other:
        for _ in range(6):
            with pytest.raises(StreamEnded) as info:
                conn.request("GET", "/guest?" + how)
            assert info.value.code == REQUEST_CANCELLED
            assert info.value.response.status in ([None] if "head" not in how else [None, 200])
            assert conn.request("GET", "/small.txt").body == content.SMALL
            assert other.request("GET", "/guest").status == 200
    until(lambda: httpd.gauge("Requests") == 0, 10, "all are over")


@pytest.mark.sanitize
@pytest.mark.parametrize("how", ["close-in-the-end", "shutdown", "options"])
def test_other_requests_do_not_notice(httpd, how):
    """Closed when the response is on its way: it arrives. Options are those of one request."""
    with httpd.h3() as conn:
        for _ in range(6):
            assert conn.request("GET", "/guest?" + how).status == 200
            answer = conn.request("GET", "/guest")
            assert answer.status == 200 and "timeout 20\n" in answer.text


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1.1", "3"])
def test_the_socket_knows_its_addresses(httpd, version):
    with httpd.client(version) as one, httpd.client(version) as two:
        ports = []
        for conn in (one, two, one, two):
            text = conn.request("GET", "/guest").text
            assert "local 127.0.0.1:%d\n" % httpd.port in text
            ports.append(int(re.search(r"remote 127\.0\.0\.1:(\d+)", text).group(1)))
        assert ports[0] == ports[2] != ports[1] == ports[3]
        if version == "3":
            assert ports[:2] == [one.local_port, two.local_port]


@pytest.mark.sanitize
def test_a_suspended_request_keeps_its_socket(fresh_httpd, guest):  # noqa: F811
    """Others are closed while it waits."""
    httpd = fresh_httpd(modules=("dialup",))
    httpd.add(guest + "H3MinWorkers 1\nH3MaxWorkers 1")
    httpd.vhost(body="""Alias /modem %s
    <Location /modem>
        ModemStandard V.92
    </Location>
    <Location /guest>
        SetHandler guest
    </Location>""" % httpd.docs).start()
    with httpd.h3() as conn:
        assert conn.request("GET", "/modem/small.txt").body == content.SMALL
        for _ in range(3):
            with pytest.raises(StreamEnded):
                conn.request("GET", "/guest?close")
        assert conn.request("GET", "/guest").status == 200
        until(lambda: conn.pump(0.1) or httpd.gauge("Requests") == 0, 30, "the request ends")
    until(lambda: '"GET /modem/small.txt HTTP/3.0" 200 13 ' in httpd.access(), 10, "its line")


def test_descriptors_are_the_workers(fresh_httpd, guest):  # noqa: F811
    """One each: none for a connection, for a request that is under way, or for a closed socket."""
    httpd = fresh_httpd()
    httpd.add(guest + "H3MinWorkers 2\nH3MaxWorkers 2")
    httpd.vhost("h3.test", "<Location /guest>\nSetHandler guest\n</Location>")
    httpd.start()

    def descriptors():
        return len(procs.fds(httpd.child()))

    def ask(conn):
        for how in ("close", "shutdown", "close-in-the-end"):
            try:
                conn.request("GET", "/guest?" + how)
            except StreamEnded:
                pass
        assert conn.request("GET", "/guest").status == 200
    with httpd.h3() as conn:
        for _ in range(20):
            ask(conn)
        conns = [httpd.h3() for _ in range(5)]
        for conn in conns:
            ask(conn)
        before = descriptors()
        more = [httpd.h3() for _ in range(10)]
        for conn in more:
            for _ in range(5):
                ask(conn)
        assert descriptors() <= before + 2
        for conn in conns + more:
            conn.close()


# They are installed only where they would not switch themselves on in a server of the machine's.
needs = {name: pytest.mark.skipif(not has_module(name), reason="mod_%s is not installed" % name)
         for name in ("security2", "qos")}


@needs["security2"]
@pytest.mark.sanitize
def test_drop_of_modsecurity(fresh_httpd):
    """Its `drop` closes the socket of the connection."""
    httpd = fresh_httpd(modules=["security2"])
    httpd.add("""SecRuleEngine On
SecDataDir %s
SecRule REQUEST_URI "@contains forbidden" "id:1,phase:1,drop,log,msg:'dropped'"
SecRule REQUEST_URI "@contains denied" "id:2,phase:1,deny,status:403"
""" % httpd.path("run"))
    httpd.vhost("h3.test")
    httpd.start()
    with httpd.h3() as other:
        for _ in range(10):
            with httpd.h3() as conn:
                assert conn.request("GET", "/denied").status == 403
                with pytest.raises(StreamEnded) as info:
                    conn.request("GET", "/forbidden")
                assert info.value.response.status is None
            assert other.request("GET", "/small.txt").body == content.SMALL
    assert httpd.fetch("1.1", "/small.txt").status == 200


# ---- modules that count connections, and refuse them

EXCESSIVE_LOAD = 0x107


def one_child(limit=64):
    """A server whose only child has all connections; with 16 no worker has a scoreboard row."""
    return ("StartServers 1\nServerLimit 1\nThreadLimit %d\n" % limit + "ThreadsPerChild 16\n"
            "MinSpareThreads 1\nMaxSpareThreads 16\nMaxRequestWorkers 16\n")


def may(httpd, version):
    """A connection that was served, or None where it was refused."""
    try:
        conn = httpd.client(version)
    except OSError:
        assert version == "1.1"
        return None
    try:
        answer = conn.request("GET", "/guest?connections")
    except (ConnectionEnded, StreamEnded) as exc:
        if version == "3":
            with pytest.raises(ConnectionEnded) as info:
                conn.wait(lambda: False, 5)
            assert info.value.code == EXCESSIVE_LOAD and not info.value.transport, exc
        answer = None
    if answer is None or answer.status == 500:
        conn.close()
        return None
    assert answer.status in (200, 404)
    return conn


def room(httpd, version):
    """A connection that was served, as soon as httpd has forgotten those that have left."""
    return until(lambda: may(httpd, version), 10, "there is room again", step=0.1)


def fill(httpd, versions, most, first=may):
    """As many as may be, in turn by each version; then none by any. All are closed again."""
    held = []
    try:
        for n in range(most):
            conn = first(httpd, versions[n % len(versions)])
            assert conn is not None
            held.append(conn)
        for version in versions:
            assert may(httpd, version) is None
        # Those that were refused do not count, and one that leaves makes room.
        held.pop().close()
        held.append(room(httpd, versions[-1]))
        assert may(httpd, versions[0]) is None
        assert all(conn.request("GET", "/small.txt").body == content.SMALL for conn in held)
    finally:
        for conn in held:
            conn.close()


@pytest.mark.sanitize
@pytest.mark.parametrize("how", ["error", "abort", "close", "process", "process-ok",
                                 "process-linger"])
def test_who_refuses_connections(fresh_httpd, guest, how):  # noqa: F811
    """In whatever way a module does it; each connection is asked for once."""
    httpd = fresh_httpd(mpm_text=one_child(16 if how == "error" else 64))
    httpd.add(guest + "GuestMaxConnections 4 %s" % how)
    httpd.vhost("h3.test", "<Location /guest>\nSetHandler guest\n</Location>")
    httpd.start()
    fill(httpd, ["3"], 4)
    pid = httpd.child()

    def left():
        with httpd.h3() as conn:
            text, again = [conn.request("GET", "/guest?connections").text for _ in range(2)]
            assert again.split(", ")[1:] == text.split(", ")[1:]
            return text == "1 at once, this one is number 1, from port %d" % conn.local_port
    until(left, 10, "all others are forgotten", step=0.1)
    assert httpd.child() == pid and "connection refused by mod_guest.c" in httpd.log()


@needs["qos"]
@pytest.mark.sanitize
@pytest.mark.parametrize("versions", [["1.1"], ["3"], ["1.1", "3"]])
def test_mod_qos(fresh_httpd, versions):
    """QS_SrvMaxConnPerIP counts TCP and QUIC together."""
    httpd = fresh_httpd(mpm_text=one_child(16))
    # Debian 12's is not linked with the library that it needs.
    pcre = ctypes.util.find_library("pcre")
    httpd.add(("LoadFile %s\n" % pcre if pcre else "")
              + "LoadModule qos_module %s/mod_qos.so" % MODULE_DIR)
    httpd.add("QS_SrvMaxConnPerIP 4\nQS_SrvMinDataRate 150 1200\nQS_ClientEntries 1000\n")
    httpd.vhost("h3.test")
    httpd.start()
    fill(httpd, versions, 4)
    fill(httpd, versions, 4, room)
    assert "QS_SrvMinDataRate rule" not in httpd.log()


@pytest.mark.sanitize
def test_a_new_address_is_asked_for_again(fresh_httpd, guest):  # noqa: F811
    """After a migration it is another connection to a module that counts by address."""
    httpd = fresh_httpd(mpm_text=one_child())
    httpd.add(guest)
    httpd.vhost("h3.test", "<Location /guest>\nSetHandler guest\n</Location>")
    httpd.start()
    with httpd.h3() as conn:
        def asked():
            text = conn.request("GET", "/guest?connections").text
            return text == "1 at once, this one is number 1, from port %d" % conn.local_port
        assert asked()
        conn.rebind().close()
        until(asked, 10, "it has migrated")


# ---- memory

@pytest.mark.sanitize
def test_what_is_written_into_the_connection_is_of_one_request(httpd):
    """Notes, addresses and pool of c->master: requests of one connection run on many threads."""
    with httpd.h3() as conn:
        streams = [conn.open("GET", "/guest?write-into-master") for _ in range(60)]
        assert {s.finish().text for s in streams} == {"whole"}


# ---- the client's name

@pytest.fixture(scope="session")
def names():
    return cc.shared("names")


class Names:
    """A server whose name service counts what it is asked for."""

    def __init__(self, fresh_httpd, names, body, **options):
        self.httpd = fresh_httpd(**options)
        self.file = self.httpd.path("logs", "lookups")
        cc.preload(self.httpd, names, GUEST_NAMES=self.file)
        with open(self.file, "w"):
            pass
        os.chmod(self.file, 0o666)
        self.httpd.vhost("h3.test", body)
        self.httpd.start()

    @property
    def lookups(self):
        with open(self.file) as file:
            return len(file.readlines())


def answered(conn, condition):
    """Until the condition holds; the client goes on acknowledging, or nothing would be over."""
    until(lambda: (conn.version == "3" and conn.pump(0.02)) or condition(), 10, "it is over")


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1.1", "3"])
@pytest.mark.parametrize("mode", ["On", "Double"])
def test_hostname_lookups(fresh_httpd, names, mode, version):
    """One for each connection, as over TCP, although many requests end at once."""
    served = Names(fresh_httpd, names, "HostnameLookups %s" % mode)
    httpd, requests = served.httpd, 0
    for count in (1, 2):
        with httpd.client(version) as conn:
            if version == "3":
                streams = [conn.open("GET", "/small.txt") for _ in range(40)]
                assert {s.finish().body for s in streams} == {content.SMALL}
                requests += 40
            else:
                for _ in range(3):
                    assert conn.request("GET", "/small.txt").body == content.SMALL
                requests += 3
            answered(conn, lambda: httpd.access().count("GET /small.txt") == requests)
            assert conn.request("GET", "/small.txt").body == content.SMALL
            requests += 1
        until(lambda: httpd.access().count("GET /small.txt") == requests, 10, "the log")
        assert served.lookups == count
    assert httpd.access().count("client.test - - ") == requests


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1.1", "3"])
def test_require_host(fresh_httpd, names, version):
    served = Names(fresh_httpd, names, """
    <Location /for>
        Require host client.test
    </Location>
    <Location /not-for>
        Require host other.test
    </Location>""")
    httpd = served.httpd
    content.write(httpd.path("htdocs/for/index.html"), "for client.test\n")
    content.write(httpd.path("htdocs/not-for/index.html"), "for others\n")
    paths = ["/for/index.html", "/not-for/index.html"]
    with httpd.client(version) as conn:
        if version == "3":
            streams = [(conn.open("GET", path), path) for path in 20 * paths]
            answers = [(stream.finish(), path) for stream, path in streams]
        else:
            answers = [(conn.request("GET", path), path) for path in 2 * paths]
        assert {(answer.status, path) for answer, path in answers} == {
            (200, paths[0]), (403, paths[1])}
    assert served.lookups == 1


@pytest.mark.sanitize
def test_names_of_scripts(fresh_httpd, names):
    """REMOTE_HOST is asked for in the handler; what it has found is known to later requests."""
    served = Names(fresh_httpd, names, "HostnameLookups On")
    httpd = served.httpd
    with httpd.h3() as conn:
        for _ in range(3):
            assert "REMOTE_HOST=client.test\n" in conn.request("GET", "/cgi-bin/env.cgi").text
            answered(conn, lambda: httpd.gauge("Requests") == 0)
        streams = [conn.open("GET", "/cgi-bin/env.cgi") for _ in range(5)]
        assert all("REMOTE_HOST=client.test\n" in s.finish().text for s in streams)
    assert served.lookups == 1


def test_names_cost_no_memory(fresh_httpd, names):
    """Thousands of requests of one connection, whose name is looked up once."""
    served = Names(fresh_httpd, names, "HostnameLookups On\n<Location />\nRequire host client.test"
                   "\n</Location>")
    with served.httpd.h3() as keep:
        assert keep.request("GET", "/small.txt").status == 200
        load(served.httpd, "-c", 1, "-m", 50, "-n", 3000)
        before = procs.kib(served.httpd.child(), "VmRSS")
        load(served.httpd, "-c", 1, "-m", 50, "-n", 9000)
        assert procs.kib(served.httpd.child(), "VmRSS") - before < 2048
    assert served.lookups == 3
