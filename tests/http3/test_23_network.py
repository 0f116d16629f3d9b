# SPDX-License-Identifier: Apache-2.0
"""QUIC on a bad network: loss, reordering, repetition, NATs, forged addresses, timeouts, limits."""
import hashlib
import os
import re
import time

import pytest

from h3test import content, procs
from h3test.cc import preload, shared
from h3test.load import Load, load
from h3test.response import ConnectionEnded
from h3test.wait import SLOWNESS, bound, until
from h3test.wire import DOWN, UP, Plan, Wire

BIG = 16 << 20
LARGEST = 1472      # bytes of a packet


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd()
    httpd.add("H3IdleTimeout 10\nH3HandshakeTimeout 30")
    httpd.vhost("h3.test")
    content.write(httpd.path("htdocs", "big.bin"), content.pseudo_random(BIG, b"big"))
    httpd.big = hashlib.sha256(content.pseudo_random(BIG, b"big")).hexdigest()
    httpd.large = hashlib.sha256(content.LARGE).hexdigest()
    return httpd.start()


def digests(report):
    return [r["sha256"] for r in report["responses"]]


def uploaded(httpd, tmp_path, size, *options, **keywords):
    """Uploads so many bytes to a CGI that digests them; the report."""
    out = str(tmp_path / "answer")
    report = load(httpd, "--upload-size", size, "--sha256", "--out", out, *options,
                  paths=["/cgi-bin/sha256.cgi"], **keywords)
    with open(out) as file:
        assert file.read().split()[0] == report["upload_sha256"]
    assert report["upload_bytes"] >= size
    return report


# -- loss, reordering, repetition

BAD = Plan(loss=0.05, twice=0.03, late=0.05, lateness=0.004)


@pytest.mark.sanitize
def test_download_over_a_bad_network(httpd):
    with Wire(httpd.port, BAD, BAD) as wire:
        report = load(httpd, "-n", 4, "--sha256", paths=["/large.bin"], connect=wire.address)
        assert digests(report) == [httpd.large] * 4
        assert wire.lost[UP] > 0 and wire.lost[DOWN] > 50


@pytest.mark.sanitize
def test_upload_over_a_bad_network(httpd, tmp_path):
    with Wire(httpd.port, BAD, BAD, seed=2) as wire:
        uploaded(httpd, tmp_path, 3 << 20, connect=wire.address)
        assert wire.lost[UP] > 50 and wire.lost[DOWN] > 0


@pytest.mark.slow
def test_many_requests_over_a_bad_network(httpd):
    """Heads, QPACK's streams and bodies, each lost somewhere."""
    with Wire(httpd.port, BAD, BAD, seed=3) as wire:
        report = load(httpd, "-c", 10, "-m", 5, "-n", 1000, connect=wire.address,
                      paths=["/small.txt", "/index.html", "/text.txt", "/cgi-bin/env.cgi"])
        assert report["ok"] == 1000
        assert report["connections"]["lost"] == 0


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_bulk_with_loss(httpd, tmp_path, loss):
    report = load(httpd, "--loss", loss, "--sha256", paths=["/big.bin" if loss < 0.1 else
                                                            "/large.bin"])
    assert digests(report) == [httpd.big if loss < 0.1 else httpd.large]
    assert report["datagrams"]["dropped_in"] > 50
    uploaded(httpd, tmp_path, 8 << 20 if loss < 0.1 else 1 << 20, "--loss", loss)


def test_reordering_alone_costs_little(httpd):
    """A third of the datagrams comes late, none is lost: all is whole, and not by repeating all."""
    late = Plan(late=0.33, lateness=0.003)
    with Wire(httpd.port, late, late) as wire:
        report = load(httpd, "-n", 2, "--sha256", paths=["/large.bin"], connect=wire.address)
        assert digests(report) == [httpd.large] * 2
        assert wire.passed[DOWN] < 2 * 2 * len(content.LARGE)


@pytest.mark.sanitize
def test_everything_twice(httpd):
    twice = Plan(twice=1.0, lateness=0.002)
    accepted = httpd.gauge("Accepted")
    with Wire(httpd.port, twice, twice) as wire:
        report = load(httpd, "-c", 5, "-n", 20, "--sha256", paths=["/text.txt"],
                      connect=wire.address)
        assert len(set(digests(report))) == 1 and report["ok"] == 20
    assert httpd.gauge("Accepted") == accepted + 5, "a repeated Initial began a connection"


# -- what the congestion control is told

@pytest.mark.parametrize("control", ["bbr", "cubic"])
def test_the_pacer_hears_of_every_end(fresh_httpd, control):
    """A batch is no larger than what the pacer sends at once, and ngtcp2 is asked until it has
    nothing before it is told to pace: else it takes the rate of a handler for that of the path, and
    BBR sends next to nothing from then on."""
    httpd = fresh_httpd()
    said = httpd.path("logs", "pacer")
    content.write(said, "", 0o666)
    preload(httpd, shared("pacer", "libngtcp2"), GUEST_PACER=said)
    httpd.add("H3CongestionControl " + control).vhost("h3.test").start()
    report = load(httpd, "-c", 4, "-m", 2, "-n", 400, "--sha256",
                  paths=["/small.txt", "/cgi-bin/wait.cgi?0.01", "/large.bin", "/small.txt"])
    assert report["ok"] == 400
    with open(said) as file:
        paced = [tuple(map(int, line.split())) for line in file]
    full = [(size, quantum) for size, quantum, was_empty in paced if not was_empty]
    # A batch has no room for another packet; or it has as many as are sent at once.
    assert all(size + LARGEST > min(quantum, 48 * LARGEST) for size, quantum in full), full
    assert len(full) > 10 and len(paced) - len(full) > 200
    # A batch of few packets may come before a full one.
    assert max(size - 2 * quantum for size, quantum, _ in paced) <= 0


# -- the handshake

@pytest.mark.sanitize
@pytest.mark.parametrize("way, number", [(way, n) for way in (UP, DOWN) for n in range(6)])
def test_handshake_without_one_datagram(httpd, way, number):
    """Each of the first datagrams is lost in turn."""
    lossy = {UP: Plan(), DOWN: Plan()}
    lossy[way] = Plan(lose=[number])
    with Wire(httpd.port, lossy[UP], lossy[DOWN]) as wire:
        report = load(httpd, "-n", 3, paths=["/small.txt"], connect=wire.address, seconds=10)
        assert report["ok"] == 3
    # Now nothing comes any more.
    assert wire.lost[way] == (1 if wire.seen[way] > number else 0)


@pytest.mark.parametrize("way", [UP, DOWN])
def test_handshake_without_the_first_three(httpd, way):
    lossy = {UP: Plan(), DOWN: Plan()}
    lossy[way] = Plan(lose=range(3))
    with Wire(httpd.port, lossy[UP], lossy[DOWN]) as wire:
        assert load(httpd, "-n", 3, connect=wire.address, seconds=20)["ok"] == 3
        assert wire.lost[way] == 3


def test_handshake_in_reverse(httpd):
    """Later datagrams of each flight overtake the first ones."""
    with Wire(httpd.port, Plan(late=0.5, lateness=0.02), Plan(late=0.5, lateness=0.02)) as wire:
        report = load(httpd, "-c", 30, "-n", 60, connect=wire.address)
        assert report["ok"] == 60


def test_handshakes_with_much_loss(httpd):
    report = load(httpd, "--handshakes-only", "-n", 60, "-c", 20, "--loss", 0.1, "--seed", 7,
                  seconds=40)
    assert report["connections"]["confirmed"] == 60


# -- paths

def remote_port(conn):
    return int(re.search(r"^REMOTE_PORT=(\d+)$", conn.request("GET", "/cgi-bin/env.cgi").text,
                         re.M).group(1))


@pytest.mark.sanitize
def test_nat_forgets_while_idle(httpd):
    with Wire(httpd.port) as wire, httpd.h3(port=wire.port) as conn:
        conn.authority = "h3.test:%d" % httpd.port
        assert remote_port(conn) == wire.outer_ports()[0]
        for _ in range(3):
            wire.rebind()
            assert conn.request("GET", "/small.txt").body == content.SMALL
            # A new address counts once it has answered a challenge (RFC 9000 section 9.3).
            conn.wait(lambda: re.search(" 127\\.0\\.0\\.1:%d: has migrated" % wire.outer_ports()[0],
                                        httpd.log()))
            assert remote_port(conn) == wire.outer_ports()[0]


@pytest.mark.parametrize("way", [UP, DOWN])
def test_nat_forgets_in_the_middle(httpd, tmp_path, way):
    """Several times during a transfer; the client knows nothing of it."""
    with Wire(httpd.port, Plan(delay=0.005), Plan(delay=0.005)) as wire:
        out = str(tmp_path / "answer")
        options = ["--upload-size", 4 << 20, "--out", out] if way == UP else ["--window", 131072]
        path = "/cgi-bin/sha256.cgi" if way == UP else "/large.bin"
        with Load(httpd, *options, "-n", 1 if way == UP else 3, "--sha256", "--keep-alive", 0.2,
                  paths=[path], connect=wire.address) as client:
            seen = set()
            for part in range(1, 5):
                until(lambda: wire.passed[way] > part * 600000 or not client.running, 20,
                      "some of it is there")
                assert client.running, client.said
                seen.update(wire.outer_ports())
                wire.rebind()
            report = client.finish()
        assert len(seen) == 4
    if way == UP:
        with open(out) as file:
            assert file.read().split()[0] == report["upload_sha256"]
    else:
        assert digests(report) == [httpd.large] * 3


def test_migration_to_and_fro(httpd):
    """A client changes between two ports of its own; both are known by then."""
    with httpd.h3() as conn:
        first = conn.sock
        second = conn.transport.new_socket()
        for turn in range(6):
            conn.transport.sock = first if turn % 2 else second
            assert conn.request("GET", "/large.bin").body == content.LARGE
        conn.transport.sock = first
        second.close()
        assert conn.request("GET", "/small.txt").body == content.SMALL


def test_forged_address_takes_no_connection_over(httpd):
    """Somebody on the way sends a copy of a client's datagram first, from elsewhere (RFC 9000
    section 9.3.2): he gets no connection."""
    with Wire(httpd.port) as wire, httpd.h3(port=wire.port, max_stream_data=1 << 16) as conn:
        conn.authority = "h3.test:%d" % httpd.port
        mine = remote_port(conn)
        for _ in range(5):
            stream = conn.open("GET", "/large.bin")
            conn.wait(lambda: stream.received > 200000)
            wire.forge(1)
            assert stream.finish().body == content.LARGE
        # As much as an address that is not validated may get, not more.
        assert wire.forged and wire.stolen <= 3 * wire.forged
        assert remote_port(conn) == mine


def test_forged_address_and_a_client_that_only_listens(fresh_httpd):
    """The last word of the client seems to come from elsewhere, and it has no other: the server
    goes back to the old address when the new one has not answered for three probe timeouts."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    httpd.start()
    # No credit has to be given for so large a window.
    window = {"max_data": 1 << 22, "max_stream_data": 1 << 22}
    with Wire(httpd.port) as wire, httpd.h3(port=wire.port, **window) as conn:
        conn.authority = "h3.test:%d" % httpd.port
        stream = conn.open("GET", "/large.bin")
        conn.wait(lambda: stream.received > 100000)
        wire.plans[DOWN] = Plan(loss=1.0)
        conn.pump(0.1)
        wire.forge(1)
        # A bare acknowledgement: nothing that the client would repeat.
        conn.quic.acknowledge_now()
        conn.flush()
        until(lambda: wire.forged, 5, "the copy is sent")
        wire.plans[DOWN] = Plan()
        assert stream.finish(9).body == content.LARGE
        assert 0 < wire.stolen <= 3 * wire.forged


# -- the size that a path carries

def only_small(conn, largest):
    """From here on what is larger does not reach this client."""
    conn.transport.on_receive = lambda data: data if len(data) <= largest else None


def black_holes(httpd):
    return httpd.log().count("get lost, 1200 are the limit from now on")


@pytest.mark.sanitize
@pytest.mark.parametrize("largest", [1364, 1222, 1200])
def test_mtu_falls_in_the_middle(httpd, largest):
    """Without a word of ICMP (RFC 8899 section 4.3), to 1392, to 1250, to as little as QUIC needs:
    the download goes on."""
    before = black_holes(httpd)
    with Wire(httpd.port, down=Plan(largest=largest, after=2 << 20)) as wire:
        report = load(httpd, "--sha256", paths=["/big.bin"], connect=wire.address, seconds=60)
    assert digests(report) == [httpd.big]
    assert black_holes(httpd) == before + 1


@pytest.mark.sanitize
def test_mtu_falls_for_a_small_answer(httpd):
    """Some datagrams at the end of a connection that was well until then; over IPv6, too."""
    for address in ("127.0.0.1", "::1"):
        with httpd.h3(address) as conn:
            conn.wait(lambda: max(conn.received) > 1400)
            assert conn.request("GET", "/text.txt").body == content.TEXT
            only_small(conn, 1210)
            assert conn.request("GET", "/text.txt", timeout=9).body == content.TEXT
            assert conn.request("GET", "/large.bin").body == content.LARGE


@pytest.mark.sanitize
def test_mtu_falls_while_small_answers_go_on(httpd):
    """They arrive and are acknowledged, so no probe timeout comes; the large one must, too."""
    with httpd.h3() as conn:
        conn.wait(lambda: max(conn.received) > 1400)
        assert conn.request("GET", "/large.bin").body == content.LARGE
        only_small(conn, 1300)
        large, asked = conn.open("GET", "/large.bin"), 0
        deadline = time.monotonic() + bound(15)
        while not large.done and time.monotonic() < deadline:
            conn.request("GET", "/small.txt")
            asked += 1
        assert large.finish().body == content.LARGE
        assert asked


@pytest.mark.sanitize
@pytest.mark.parametrize("way", ["nat", "address"])
def test_other_path_with_a_smaller_mtu(httpd, way):
    """A NAT that forgets, where the client keeps its connection ID; a client that takes another
    address."""
    with httpd.h3() as conn:
        conn.wait(lambda: max(conn.received) > 1400)
        stream = conn.open("GET", "/large.bin")
        conn.wait(lambda: stream.received > 200000)
        conn.rebind("127.0.0.2" if way == "address" else None).close()
        only_small(conn, 1222)
        conn.quic.send_ping(1)
        assert stream.finish(20).body == content.LARGE


@pytest.mark.sanitize
def test_new_path_after_a_black_hole(httpd):
    """What has shrunk grows again on another path, and not on the same one through another port."""
    with httpd.h3() as conn:
        conn.wait(lambda: max(conn.received) > 1400)
        only_small(conn, 1222)
        assert conn.request("GET", "/large.bin").body == content.LARGE
        conn.transport.on_receive = None

        def move(local):
            conn.rebind(local).close()
            conn.ping()
            conn.received.clear()

        def largest():
            assert conn.request("GET", "/large.bin").body == content.LARGE
            return max(conn.received)
        move(None)
        assert largest() == largest() == 1200
        move("127.0.0.2")
        until(lambda: largest() > 1400, 10, "the probes on the new path have been answered")


# -- keys

@pytest.mark.sanitize
def test_key_updates_on_a_bad_network(httpd):
    bad = Plan(loss=0.03, late=0.1, lateness=0.003)
    with Wire(httpd.port, bad, bad) as wire, httpd.h3(port=wire.port) as conn:
        conn.authority = "h3.test:%d" % httpd.port
        for _ in range(6):
            conn.ping()
            conn.quic.request_key_update()
            assert conn.request("GET", "/text.txt").body == content.TEXT


# -- time

@pytest.fixture(scope="module")
def short(make_httpd):
    httpd = make_httpd()
    httpd.add("H3IdleTimeout 2\nH3HandshakeTimeout 2\nH3MaxConnections 12")
    httpd.vhost("h3.test")
    return httpd.start()


def test_path_that_is_too_small_for_quic(short):
    """Less than 1200 bytes (RFC 9000 section 14): nothing helps, and the idle timeout ends it."""
    conn = short.h3()
    conn.wait(lambda: max(conn.received) > 1400)
    conn.transport.on_receive = lambda data: data if len(data) < 1200 else None
    stream = conn.open("GET", "/large.bin")
    short.wait_gauges(timeout=15, Connections=0)
    assert not stream.done
    conn.abandon()


def test_idle_timeout_of_a_client_that_is_gone(short):
    with Load(short, "-c", 5, "--connecting", 1, "--idle", 60) as client:
        client.wait_idle()
        assert short.gauge("Connections") == 5
        began = time.monotonic()
        client.kill()
        short.wait_gauges(timeout=10, Connections=0)
        assert time.monotonic() - began > 0.5, "they had no idle time"


def test_pings_keep_a_connection(short):
    report = load(short, "-c", 5, "--connecting", 1, "--idle", 4, "--keep-alive", 0.7)
    assert report["connections"]["lost"] == 0
    assert report["connections"]["transport_closes"] == {}
    assert report["connections"]["app_closes"] == {}


def test_smaller_idle_timeout_counts(short, httpd):
    """Ours is 10 s there, the client's is 1 s; and the other way round."""
    for server, client in ((httpd, 1.0), (short, 60.0)):
        # What a test before has left may have H3IdleTimeout's 10 s before it.
        server.wait_gauges(Connections=0)
        with server.h3(idle_timeout=client) as conn:
            assert conn.request("GET", "/small.txt").body == content.SMALL
        began = time.monotonic()
        server.h3(idle_timeout=client).abandon()
        server.wait_gauges(timeout=8, Connections=0)
        assert time.monotonic() - began > 0.5


def test_a_running_request_outlives_the_idle_timeout(short):
    """A handler may think for longer than the client is silent, if only somebody says PING."""
    report = load(short, "--keep-alive", 0.5, paths=["/cgi-bin/wait.cgi?4"])
    assert report["ok"] == 1


@pytest.mark.parametrize("path, left", [("/cgi-bin/endless.cgi", 0), ("/cgi-bin/wait.cgi?8", 1)])
def test_a_client_that_vanishes_meanwhile(short, path, left):
    """Killed in the middle of a response, or waiting for one: the idle timeout, 2 s, and half of it
    until the PING that nobody answers. A silent script is heard of only when it speaks."""
    short.wait_gauges(Connections=0, Requests=0)
    with Load(short, paths=[path]) as client:
        short.wait_gauges(Requests=1)
        client.kill()
        began = time.monotonic()
        short.wait_gauges(Connections=0, Requests=left)
        assert 1 < time.monotonic() - began < bound(3) + 2
    short.wait_gauges(Requests=0)


def test_handshakes_that_never_end(short):
    """Nothing but first flights: half-open connections are few, and soon gone."""
    with Wire(short.port, Plan(), Plan(lose=range(100000))) as wire:
        with Load(short, "-c", 8, "-n", 8, connect=wire.address, seconds=30) as client:
            until(lambda: short.gauge("HalfOpen") > 0, 5, "they are half-open")
            assert short.gauge("HalfOpen") <= 3, "a quarter of 12"
            assert short.fetch("1.1", "/small.txt").body == content.SMALL
            client.kill()
        short.wait_gauges(timeout=10, Connections=0, HalfOpen=0)
    assert short.fetch("3", "/small.txt").body == content.SMALL


# -- many connections

def test_too_many_connections_are_refused(short):
    """At once and by name, and there is room again when others have gone."""
    refused = short.gauge("Refused")
    with Load(short, "-c", 12, "--connecting", 1, "--idle", 20, "--keep-alive", 0.5) as full:
        full.wait_idle()
        assert short.gauge("Connections") == 12
        for _ in range(3):
            with pytest.raises(ConnectionEnded) as caught:
                short.h3(timeout=5)
            assert caught.value.transport and caught.value.code == 0x2  # CONNECTION_REFUSED
        assert short.gauge("Connections") == 12
        report = load(short, "-c", 4, check=False, seconds=10)
        assert report["connections"]["transport_closes"] == {"0x2": 4}
        assert short.gauge("Refused") >= refused + 7
        full.interrupt()
        full.finish(check=False)
    short.wait_gauges(Connections=0)
    assert load(short, "-c", 3)["ok"] == 3


@pytest.mark.slow
@pytest.mark.timeout(int(120 * SLOWNESS))
def test_a_thousand_connections(httpd):
    """Idle ones cost memory only, and others are served as before."""
    child = httpd.child()
    load(httpd, "-c", 50, "-n", 100)
    httpd.wait_gauges(Connections=0)
    before, fds, threads = procs.kib(child, "VmRSS"), len(procs.fds(child)), procs.threads(child)
    with Load(httpd, "-c", 1000, "-n", 1000, "--idle", 60) as client:
        client.wait_idle(40)
        assert httpd.gauge("Connections") == 1000
        grown = procs.kib(child, "VmRSS") - before
        # H3MaxWorkers is 1.5 times H3MinWorkers, which is ThreadsPerChild; two more may help, and
        # each has a descriptor once it has run a request.
        # The worker that logs a request closes its files a moment after the response.
        until(lambda: len(procs.fds(child)) <= fds + 2 + 26, 10, "as many descriptors as before")
        assert procs.threads(child) <= threads + 10
        began = time.monotonic()
        for _ in range(20):
            assert httpd.fetch("3", "/small.txt").body == content.SMALL
        assert time.monotonic() - began < bound(4)
        client.interrupt()
        report = client.finish(check=False)
    assert report["ok"] == 1000
    assert grown < 1000 * 150, "%d KiB for a thousand connections" % grown
    httpd.wait_gauges(timeout=20, Connections=0, HalfOpen=0, Streams=0, Requests=0)


def test_nothing_is_left(httpd):
    """Of everything above."""
    httpd.wait_gauges(timeout=25, Connections=0, HalfOpen=0, Streams=0, Requests=0)
    assert httpd.gauge("ForeignDatagrams") == 0
    assert os.path.exists(httpd.pid_file) and len(httpd.children()) == 1
