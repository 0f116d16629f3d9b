# SPDX-License-Identifier: Apache-2.0
"""What responses hold open while they wait for clients that do not read."""
import collections
import os

import pytest

from h3test import content, procs
from h3test.cc import shared
from h3test.transport import pump_all
from h3test.wait import until

LIMIT = 300
WORKERS = 24    # one and a half times ThreadsPerChild


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(modules=("file_cache", "cache", "cache_disk"), descriptors=LIMIT)
    content.write(os.path.join(httpd.docs, "shared", "open.bin"), content.LARGE)
    content.write(os.path.join(httpd.docs, "cached", "large.bin"), content.LARGE)
    content.write(os.path.join(httpd.docs, "ssi", "long.shtml"),
                  content.TEXT[:1000] + b'<!--#include virtual="/small.txt" -->' * 3)
    os.mkdir(httpd.path("cache"))
    os.chmod(httpd.path("cache"), 0o777)
    httpd.add("LoadModule odd_module " + shared("mod_odd"))
    httpd.vhost(body="""
    <Location /odd>
        SetHandler odd
    </Location>
    <Directory %(docs)s/deflate>
        SetOutputFilter DEFLATE
    </Directory>
    <Directory %(docs)s/ssi>
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
    </Directory>
    CacheFile %(docs)s/shared/open.bin
    CacheEnable disk /cached
    CacheRoot %(root)s/cache
    CacheMaxFileSize 2000000
    CacheIgnoreNoLastMod on
    CacheDefaultExpire 3600
    CacheHeader on
    """ % {"docs": httpd.docs, "root": httpd.root})
    httpd.start()
    for version in ("1.1", "2", "3"):       # what is opened once is open then
        assert httpd.fetch(version, "/small.txt").status == 200
    return httpd


def stuck_client(httpd, **options):
    """It takes some hundred bytes of each response, and no more ever."""
    conn = httpd.h3(max_stream_data=400, **options)
    conn.quic.hold_credit = True
    return conn


def ask_all(conns, path, count, fields=()):
    return [conn.open("GET", path, fields) for conn in conns for _ in range(count)]


def all_held(httpd):
    """How many descriptors the child has."""
    return len(procs.fds(httpd.child()))


def held(httpd):
    """{name: how many} of what the child has open; sockets, of which each worker has one, not."""
    return collections.Counter(os.path.basename(what) for what in procs.fds(httpd.child()).values()
                               if not what.startswith("socket:"))


def tcp_serves(httpd):
    for version in ("1.1", "2"):
        for path in ("/small.txt", "/large.bin"):
            assert httpd.fetch(version, path).status == 200
    assert "Too many open files" not in httpd.log()


def close_all(httpd, conns, before):
    for conn in conns:
        conn.close()
    until(lambda: sum(held(httpd).values()) <= before, what="all are closed")


@pytest.mark.sanitize
def test_one_descriptor_for_a_file(httpd):
    before = sum(held(httpd).values())
    with stuck_client(httpd) as conn:
        streams = ask_all([conn], "/large.bin", 60)
        pump_all([conn], lambda: all(s.response.status for s in streams))
        assert {s.response.status for s in streams} == {200}
        until(lambda: held(httpd)["large.bin"] == 60, what="one for each")
        tcp_serves(httpd)
    close_all(httpd, [], before)


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/text.txt", "/deflate/text.txt", "/ssi/long.shtml"])
def test_none_for_what_is_read(httpd, path):
    """A file that fits into memory, or that a filter has read, is closed at the request's end."""
    with stuck_client(httpd) as conn:
        before = held(httpd)
        streams = ask_all([conn], path, 60, [("accept-encoding", "gzip")])
        pump_all([conn], lambda: all(s.response.status for s in streams))
        assert {s.response.status for s in streams} == {200}
        until(lambda: held(httpd) == before, what="none is open")
        assert not [s for s in streams if s.done]
        assert httpd.gauge("Requests") == 60


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/large.bin", "/odd?holds_files"])
def test_half_of_what_is_free(httpd, path):
    """Files on their way, and what nobody but the handler knows of."""
    before, at_first = sum(held(httpd).values()), all_held(httpd)
    bound = at_first + (LIMIT - at_first) // 2 + WORKERS * 3
    conns = [stuck_client(httpd) for _ in range(4)]
    streams = ask_all(conns, path, 100)
    httpd.wait_gauges(Requests=400)
    most = []

    def seen():
        most.append(all_held(httpd))
        return len(most) >= 20
    pump_all(conns, seen)
    assert max(most) <= min(bound, LIMIT - 10), most
    assert {s.response.status for s in streams} <= {200, None}
    tcp_serves(httpd)
    close_all(httpd, conns, before)
    httpd.wait_gauges(Requests=0)
    assert httpd.fetch("3", path).status == 200


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/shared/open.bin", "/cached/large.bin"])
def test_files_that_others_have_opened(httpd, path):
    """mod_file_cache's serve every request; mod_cache's are a request's own."""
    before = sum(held(httpd).values())
    first = httpd.fetch("3", path)
    assert first.body == content.LARGE
    for _ in range(2):
        with httpd.h3() as conn:
            streams = [conn.open("GET", path) for _ in range(3)]
            streams.append(conn.open("GET", path, [("range", "bytes=0-99999,200000-700000")]))
            bodies = [s.finish().body for s in streams]
        assert bodies[:3] == [content.LARGE] * 3
        assert content.LARGE[200000:700001] in bodies[3]
    if path == "/cached/large.bin":
        assert httpd.fetch("3", path).get("x-cache").startswith("HIT")
    assert httpd.fetch("1.1", path).body == content.LARGE
    until(lambda: sum(held(httpd).values()) <= before, what="all but those are closed")


def test_a_worker_that_stays_is_free_when_its_client_reads(httpd):
    before = sum(held(httpd).values())
    conns = [stuck_client(httpd) for _ in range(2)]
    streams = ask_all(conns, "/large.bin", 100)
    httpd.wait_gauges(Requests=200)
    for stream in streams:
        stream.keep_body = False
    for conn in conns:
        conn.quic.hold_credit = False
        conn.flush()
    pump_all(conns, lambda: all(s.done for s in streams[:4]), 60)
    assert [s.received for s in streams[:4]] == [1 << 20] * 4
    close_all(httpd, conns, before)
