# SPDX-License-Identifier: Apache-2.0
"""Several children on one port: each datagram reaches the child that owns its connection."""
import collections
import os
import pwd
import re
import resource
import signal

import pytest

from h3test import content, procs, steering, udp
from h3test.installed import has_ipv6
from h3test.load import Load, load
from h3test.response import ConnectionEnded
from h3test.transport import pump_all
from h3test.wait import until

CHILDREN = 4
# Neither more nor fewer: what is spare stays between the two, and ServerLimit is reached.
PINNED = """StartServers 4
ServerLimit 4
ThreadLimit 16
ThreadsPerChild 16
MinSpareThreads 1
MaxSpareThreads 80
MaxRequestWorkers 64
"""
CONNECTIONS, REQUESTS = 200, 20


def pinned(make, mpm="event", **options):
    httpd = make(mpm=mpm, mpm_text=PINNED, **options)
    httpd.pids_log = httpd.path("logs", "pids_log")
    httpd.add('LogFormat "%%{pid}P %%H %%>s %%U%%q" pids\nCustomLog %s pids' % httpd.pids_log)
    return httpd


def start(httpd):
    httpd.start()
    wait_serving(httpd)
    return httpd


def wait_serving(httpd, children=CHILDREN):
    until(lambda: httpd.status().get("Http3Children") == str(children), 20,
          "%d children serve HTTP/3" % children)


@pytest.fixture(scope="module", params=["event", "worker"])
def httpd(request, make_httpd):
    httpd = pinned(make_httpd, request.param)
    httpd.vhost("h3.test")
    return start(httpd)


def served_by(httpd, path):
    """{pid: number} of the requests for the path that were logged."""
    found = collections.Counter()
    with open(httpd.pids_log) as log:
        for line in log:
            pid, protocol, status, what = line.split()
            if what == path:
                assert (protocol, status) == ("HTTP/3.0", "200"), line
                found[int(pid)] += 1
    return found


def wait_served(httpd, path, number):
    until(lambda: sum(served_by(httpd, path).values()) >= number, 10, "all are logged")
    return served_by(httpd, path)


def child_of(httpd, conn, path):
    """The child that has served this request: it is logged when its last byte is acknowledged."""
    (child,) = until(lambda: served_by(httpd, path) or conn.pump(0.02), 10, "it is logged")
    return child


@pytest.mark.slow
def test_all_children_serve_their_own(httpd):
    """200 connections of 20 requests each."""
    foreign, children = httpd.gauge("ForeignDatagrams"), sorted(httpd.children())
    assert len(children) == CHILDREN
    number = CONNECTIONS * REQUESTS
    report = load(httpd, "-c", CONNECTIONS, "-m", 4, "-n", number, paths=["/small.txt?all"])
    assert report["ok"] == number and report["connections"]["connected"] == CONNECTIONS
    served = wait_served(httpd, "/small.txt?all", number)
    assert sorted(served) == children, "not all have served: %r" % served
    assert sum(served.values()) == number
    # Initials are spread by a hash: a child without a tenth of its share means that it is not.
    assert min(served.values()) >= number / CHILDREN / 10, served
    assert httpd.gauge("ForeignDatagrams") == foreign
    assert sorted(httpd.children()) == children
    httpd.wait_gauges(Connections=0, HalfOpen=0, Streams=0, Requests=0)


def test_new_ports_lead_to_the_same_child(httpd):
    """A client behind a NAT that forgets often: by its addresses nobody would find its child."""
    foreign = httpd.gauge("ForeignDatagrams")
    report = load(httpd, "-c", 20, "-n", 40, "--rebind", 10, paths=["/large.bin"])
    assert report["ok"] == 40 and report["connections"]["rebinds"] >= 20
    assert httpd.gauge("ForeignDatagrams") == foreign


def test_a_connection_stays_with_its_child(httpd):
    for number in range(5):
        path = "/small.txt?stays%d" % number
        with httpd.h3() as conn:
            for _ in range(10):
                assert conn.request("GET", path).body == content.SMALL
                conn.rebind().close()
        assert len(wait_served(httpd, path, 10)) == 1


@pytest.mark.sanitize
def test_every_connection_id_leads_to_the_same_child(httpd):
    foreign = httpd.gauge("ForeignDatagrams")
    with httpd.h3() as conn:
        conn.wait(lambda: len(conn.quic.peer_ids) >= 3)
        ids = [cid for cid, _ in conn.quic.peer_ids]
        for cid in ids[1:]:
            conn.quic.use_peer_id(cid)
            assert conn.request("GET", "/small.txt?ids").body == content.SMALL
    assert len(wait_served(httpd, "/small.txt?ids", len(ids) - 1)) == 1
    assert httpd.gauge("ForeignDatagrams") == foreign


@pytest.mark.sanitize
def test_ticket_of_one_child_resumes_at_another(httpd):
    def visit(number, ticket=None):
        """(its child, resumed, a new ticket)"""
        path = "/small.txt?ticket%d" % number
        with httpd.h3(ticket=ticket) as conn:
            assert conn.request("GET", path).body == content.SMALL
            conn.wait(lambda: conn.tickets)
            resumed, fresh = conn.quic.tls.session_resumed, conn.tickets[-1]
        (child,) = wait_served(httpd, path, 1)
        return child, resumed, fresh

    home, resumed, ticket = visit(0)
    assert not resumed
    homes = {}
    for number in range(1, 60):
        child, resumed, _ = visit(number, ticket)
        homes.setdefault(child, []).append(resumed)
        if len(homes) == CHILDREN:
            break
    assert len(homes) > 1 and set(homes) != {home}, "only one child was met"
    assert all(all(was) for was in homes.values()), homes


# -- many streams

def test_a_hundred_streams_at_once(httpd):
    gate = httpd.path("run", "gate")
    content.write(httpd.path("cgi-bin", "gate.cgi"), "#!/bin/sh\n"
                  "while [ ! -e %s ]; do sleep 0.05; done\n"
                  "echo 'Content-Type: text/plain'; echo; echo waited\n" % gate, 0o755)
    with httpd.h3() as conn:
        streams = [conn.open("GET", "/cgi-bin/gate.cgi") for _ in range(100)]
        conn.wait(lambda: httpd.gauge("Streams") == 100)
        content.write(gate, "open")
        for stream in streams:
            answer = stream.finish(60)
            assert (answer.status, answer.body) == (200, b"waited\n")
    httpd.wait_gauges(Streams=0, Requests=0)


def test_a_hundred_streams_for_long(httpd):
    number = 100
    report = load(httpd, "-c", 1, "-m", 100, "-n", number, "--sha256", paths=["/large.bin"])
    assert report["ok"] == number
    assert len({r["sha256"] for r in report["responses"]}) == 1
    report = load(httpd, "-c", 1, "-m", 100, "-n", 5000)
    assert report["ok"] == 5000


# -- without the steering program

def test_the_counter_counts(fresh_httpd):
    """With the program taken off, datagrams reach children that do not own them; each is counted,
    none is taken for another connection's, and no connection ends by it."""
    httpd = pinned(fresh_httpd)
    httpd.vhost("h3.test")
    start(httpd)
    conns = [httpd.h3() for _ in range(12)]
    try:
        assert httpd.gauge("ForeignDatagrams") == 0
        assert steering.detach(httpd) > 0
        for conn in conns:
            conn.quic.send_ping(1)
        pump_all(conns, lambda: httpd.gauge("ForeignDatagrams") > 0, 20)
        # A living connection is never reset, whoever reads its datagrams (RFC 9000 section 21.11).
        for conn in conns:
            conn.pump(0.05)
            assert conn.ended is None and not conn.stateless_reset
        assert httpd.gauge("StatelessResets") == 0
    finally:
        for conn in conns:
            conn.abandon()
    before = httpd.gauge("ForeignDatagrams")
    report = load(httpd, "-c", CONNECTIONS, "-m", 4, "-n", CONNECTIONS * REQUESTS, "--rebind", 8,
                  check=False, seconds=8)
    assert report["connections"]["rebinds"] > 0
    assert httpd.gauge("ForeignDatagrams") > before


def test_one_socket_with_two_connections(fresh_httpd):
    """GRO puts the datagrams of both together, and the steering program sees the first one's id:
    the other child's is dropped, and GRO is off there, but not for good."""
    httpd = pinned(fresh_httpd)
    httpd.vhost("h3.test")
    start(httpd)
    conns = {}
    for number in range(60):
        conn, path = httpd.h3(), "/small.txt?two%d" % number
        assert conn.request("GET", path).body == content.SMALL
        child = child_of(httpd, conn, path)
        if conns.setdefault(child, conn) is not conn:
            conn.close()
        elif len(conns) == 2:
            break
    first, second = (conn.quic.peer_ids[0][0] for conn in conns.values())
    try:
        assert steering.gro(httpd) == {1}
        with udp.Socket("127.0.0.1", httpd.port) as sock:
            for _ in range(3):
                sock.send_many(udp.short_header(200, first) + udp.short_header(200, second), 200)
        until(lambda: httpd.gauge("ForeignDatagrams") > 0, 5, "the second one is foreign")
        until(lambda: steering.gro(httpd) == {0, 1}, 5, "off where it was harmful, and only there")
        until(lambda: steering.gro(httpd) == {1}, 20, "it is tried again")
        for conn in conns.values():
            assert conn.request("GET", "/small.txt").body == content.SMALL
    finally:
        for conn in conns.values():
            conn.abandon()


# -- several addresses

def test_several_addresses(fresh_httpd):
    """Each address has a group of its own, with the same slots."""
    httpd = pinned(fresh_httpd, listen=False)
    ports = [httpd.port, httpd.new_port()]
    hosts = [("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), ("127.0.0.2", ports[0])]
    hosts += [("[::1]", ports[0])] if has_ipv6() else []
    status = 'Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nServerName status.test\n' \
        '<Location /server-status>\nSetHandler server-status\n</Location>\n</VirtualHost>' % (
            httpd.clear_port, httpd.clear_port)
    httpd.add(status + "\n" + "\n".join("Listen %s:%d" % host for host in hosts))
    for port in ports:
        httpd.vhost("h3.test", port=port)
    start(httpd)
    # So many that no child is left out by chance: once in a million runs.
    loads = [Load(httpd, "-c", 60, "-n", 300, connect="%s:%d" % host,
                  paths=["/small.txt?at%d" % number]) for number, host in enumerate(hosts)]
    try:
        for client in loads:
            assert client.finish()["ok"] == 300
    finally:
        for client in loads:
            client.kill()
    for number in range(len(hosts)):
        served = wait_served(httpd, "/small.txt?at%d" % number, 300)
        assert len(served) == CHILDREN, served
    assert httpd.gauge("ForeignDatagrams") == 0


# -- a child that is killed

@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_killed_child(fresh_httpd, mpm):
    """Its siblings go on, its slot is free within seconds, its clients are told."""
    httpd = pinned(fresh_httpd, mpm)
    httpd.allowed_trouble.append("exit signal Killed")
    httpd.vhost("h3.test")
    start(httpd)
    conns = {}
    for number in range(100):
        conn, path = httpd.h3(), "/small.txt?killed%d" % number
        assert conn.request("GET", path).body == content.SMALL
        conns.setdefault(child_of(httpd, conn, path), []).append(conn)
        if number >= 40 and len(conns) == CHILDREN:
            break
    everybody = [conn for mine in conns.values() for conn in mine]
    try:
        assert len(conns) == CHILDREN
        victim = min(conns)
        lost = conns.pop(victim)
        os.kill(victim, signal.SIGKILL)
        for mine in conns.values():
            for conn in mine:
                assert conn.request("GET", "/small.txt").body == content.SMALL
        for conn in lost:
            conn.open("GET", "/small.txt")
        pump_all(lost, lambda: all(c.stateless_reset for c in lost), 10)
        wait_serving(httpd)
        assert len(httpd.children()) == CHILDREN
        new = set(httpd.children()) - set(conns)
        assert len(new) == 1
        report = load(httpd, "-c", 100, "-n", 400, paths=["/small.txt?after"])
        assert report["ok"] == 400
        assert new <= set(wait_served(httpd, "/small.txt?after", 400)), "the new child has no share"
        for mine in conns.values():
            for conn in mine:
                assert conn.request("GET", "/small.txt").body == content.SMALL
        assert httpd.gauge("ForeignDatagrams") == 0
    finally:
        for conn in everybody:
            conn.abandon()


def test_the_only_child_is_killed(fresh_httpd):
    """Who comes before the next one serves waits in the socket; the old client is told."""
    httpd = fresh_httpd()
    httpd.allowed_trouble.append("exit signal Killed")
    httpd.vhost("h3.test")
    httpd.start()
    with httpd.h3() as old:
        assert old.request("GET", "/small.txt").body == content.SMALL
        child = httpd.child()
        os.kill(child, signal.SIGKILL)
        assert httpd.fetch("3", "/small.txt", timeout=10).body == content.SMALL
        assert httpd.child() != child
        with pytest.raises(ConnectionEnded):
            old.request("GET", "/small.txt", timeout=10)
        assert old.stateless_reset
    assert not procs.is_alive(child)


def idle_user():
    """One that runs nothing: its threads are counted together, whoever has started them."""
    busy = {int(procs.status(int(pid)).get("Uid", "0").split()[0])
            for pid in os.listdir("/proc") if pid.isdigit()}
    for user in pwd.getpwall():
        if user.pw_uid and user.pw_uid not in busy and user.pw_name not in ("www-data", "nobody"):
            return user.pw_name
    return pytest.skip("every user runs something")


@pytest.mark.skipif(os.geteuid() != 0, reason="children run as a user of their own")
@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_a_start_that_fails_is_undone(fresh_httpd, mpm):
    """HTTP/3's workers take all threads that the children's user may have; TCP gets them back."""
    httpd = fresh_httpd(mpm=mpm, mpm_text="StartServers 1\nServerLimit 1\nThreadsPerChild 4\n"
                        "MinSpareThreads 1\nMaxSpareThreads 4\nMaxRequestWorkers 4\n")
    httpd.add("User %s\nH3MinWorkers 64\nH3MaxWorkers 64" % idle_user())
    httpd.vhost("h3.test")
    limits = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (16, limits[1]))
    try:
        httpd.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, limits)
    until(lambda: "this child will not serve HTTP/3" in httpd.log(), 20, "the start fails")
    assert re.search(r"could start only \d+ of 64 HTTP/3 worker threads", httpd.log())
    for version in ("1.1", "2"):
        assert httpd.fetch(version, "/small.txt").body == content.SMALL
    assert httpd.status()["Http3Children"] == "0"
    pid = httpd.child()
    assert procs.threads(pid) <= 12     # of the MPM and of mod_http2
    for _ in range(20):
        assert httpd.fetch("2", "/small.txt").status == 200
    assert httpd.child() == pid


def test_only_tcp_counts_for_max_connections_per_child(fresh_httpd):
    """As the manual says: the MPM counts its connections itself."""
    httpd = fresh_httpd(mpm_text="StartServers 1\nServerLimit 2\nThreadLimit 16\n"
                        "ThreadsPerChild 16\nMinSpareThreads 1\nMaxSpareThreads 32\n"
                        "MaxRequestWorkers 32\nMaxConnectionsPerChild 40\n")
    httpd.vhost("h3.test")
    httpd.start()
    wait_serving(httpd, 1)
    child = httpd.children()
    load(httpd, "-c", 20, "-n", 200, "--handshakes-only")
    report = load(httpd, "-c", 100, "-n", 200)
    assert report["ok"] == 200 and httpd.children() == child
    for _ in range(40):
        assert httpd.fetch("1.1", "/small.txt").status == 200
    until(lambda: child[0] not in httpd.children(), 30, "the child is replaced")
    until(lambda: httpd.fetch("3", "/small.txt").body == content.SMALL, 10, "the next one serves")
