# SPDX-License-Identifier: Apache-2.0
"""Bulk: a GiB each way in bounded memory; a slow reader holds its sender, nobody else."""
import hashlib
import os
import shutil
import subprocess
import tempfile
import time

import pytest

from h3test import content, procs
from h3test.load import Load, load
from h3test.response import StreamEnded
from h3test.wait import SLOWNESS, bound, until

GIB = 1 << 30
PEAK_KIB = 32 * 1024
# A datagram of the client carries at most this much.
DATAGRAM = 1452

# Reads SLOWLY blocks, one every 50 ms, then nothing until it is told to go on.
HELD_CGI = """
SLOWLY=40
{ i=0
  while [ $i -lt $SLOWLY ]; do
      dd bs=65536 count=1 iflag=fullblock status=none
      i=$((i + 1)); echo $((i * 65536)) > %(run)s/read.new
      mv %(run)s/read.new %(run)s/read
      sleep 0.05
  done
  while [ ! -e %(run)s/go ]; do sleep 0.05; done
  exec cat
} | { digest=$(sha256sum); echo "Content-Type: text/plain"; echo; echo "$digest"; }
"""


def numbered(path, size):
    """A file in which no block of 64 KiB is like another; its SHA-256."""
    block, digest = bytearray(content.pseudo_random(1 << 20)), hashlib.sha256()
    with open(path, "wb") as out:
        for mib in range(size >> 20):
            for part in range(16):
                block[part << 16:(part << 16) + 8] = (mib * 16 + part).to_bytes(8, "big")
            out.write(block)
            digest.update(block)
    os.chmod(path, 0o644)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd()
    httpd.vhost("h3.test")
    httpd.held = httpd.path("held")
    os.mkdir(httpd.held)
    os.chmod(httpd.held, 0o777)
    content.write(httpd.path("cgi-bin", "held.cgi"), "#!/bin/sh" + HELD_CGI % {"run": httpd.held},
                  0o755)
    httpd.digest = numbered(httpd.path("htdocs", "gib.bin"), GIB)
    return httpd.start()


class Peak:
    """What a child's memory grows by at most, from here on."""

    def __init__(self, httpd):
        assert httpd.fetch("3", "/small.txt").status == 200
        httpd.wait_gauges(Connections=0)
        self.child = httpd.child()
        self.idle = procs.kib(self.child, "VmRSS")
        procs.reset_peak(self.child)

    def check(self, httpd):
        assert httpd.child() == self.child
        peak = procs.kib(self.child, "VmHWM")
        assert peak - self.idle <= PEAK_KIB, "%d KiB idle, %d KiB at most" % (self.idle, peak)


@pytest.mark.slow
@pytest.mark.timeout(int(240 * SLOWNESS))
def test_one_gib_down(httpd):
    peak = Peak(httpd)
    report = load(httpd, "--sha256", paths=["/gib.bin"], seconds=200)
    assert [r["sha256"] for r in report["responses"]] == [httpd.digest]
    assert report["body_bytes"] == GIB
    peak.check(httpd)


def held_bytes(httpd):
    try:
        with open(os.path.join(httpd.held, "read")) as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def received_by_server(httpd):
    """At most so many bytes have come to the server's sockets since it runs."""
    return httpd.gauge("DatagramsIn") * DATAGRAM


def wait_standstill(httpd, timeout=20):
    """Until for a whole second hardly a datagram has come; how many bytes had come by then."""
    deadline = time.monotonic() + bound(timeout)
    before = received_by_server(httpd)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = received_by_server(httpd)
        if now - before < 20 * DATAGRAM:
            return now
        before = now
    raise AssertionError("the client goes on sending although nobody reads")


@pytest.mark.slow
@pytest.mark.timeout(int(240 * SLOWNESS))
def test_one_gib_up_to_a_slow_reader(httpd, tmp_path):
    """The client never runs ahead of the CGI by more than the windows and the kernel's pipes."""
    peak = Peak(httpd)
    # mod_cgid's socket and the CGI's pipes hold at most a few hundred KiB beside H3WindowSize.
    ahead = 262144 + (1 << 20)
    begin = received_by_server(httpd)
    answer = str(tmp_path / "answer")
    with Load(httpd, "--upload", httpd.path("htdocs", "gib.bin"), "--out", answer,
              paths=["/cgi-bin/held.cgi"], seconds=200) as client:
        seen = []

        def all_slow_blocks():
            read = held_bytes(httpd)
            came = received_by_server(httpd) - begin
            seen.append((read, came))
            # The gauge is read later: the CGI may have read a few blocks since.
            assert came <= held_bytes(httpd) + ahead, seen[-5:]
            assert client.running, client.said
            return read == 40 * 65536

        until(all_slow_blocks, 30, "the CGI has read its slow blocks", step=0.05)
        assert len({read for read, _ in seen}) > 5, "it was not watched while it read"
        assert wait_standstill(httpd) - begin <= 40 * 65536 + ahead
        peak.check(httpd)
        with open(os.path.join(httpd.held, "go"), "w"):
            pass
        report = client.finish()
    assert report["upload_bytes"] == GIB
    with open(answer) as file:
        assert file.read().split()[0] == httpd.digest
    peak.check(httpd)


# -- slow downloads of files

SLOW_STREAMS, SLOW_SIZE, SLOW_RATE = 200, 512 << 10, 128 << 10


def mount(*arguments):
    done = subprocess.run(["mount", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        pytest.skip("mount %s: %s" % (" ".join(arguments), done.stdout.strip()))


def kind_of(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def on_disk(root):
    docs = os.path.join(root, "docs")
    os.mkdir(docs)
    if kind_of(docs) not in ("ext2/ext3", "xfs", "btrfs"):
        pytest.skip("%s is on %s, not on a disk" % (root, kind_of(docs)))
    return docs


def on_tmpfs(root):
    docs = os.path.join(root, "docs")
    os.mkdir(docs)
    mount("-t", "tmpfs", "-o", "size=64m,mode=755", "h3test", docs)
    return docs


def on_overlay(root):
    parts = {name: os.path.join(root, name) for name in ("lower", "upper", "work", "docs")}
    for path in parts.values():
        os.mkdir(path)
    mount("-t", "overlay", "-o", "lowerdir=%(lower)s,upperdir=%(upper)s,workdir=%(work)s" % parts,
          "h3test", parts["docs"])
    return parts["docs"]


@pytest.fixture(params=[on_disk, on_overlay, on_tmpfs], ids=["disk", "overlayfs", "tmpfs"])
def docs(request):
    """A document root on that file system; gone again when the test is over."""
    root = tempfile.mkdtemp(prefix="h3test-docs-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
    os.chmod(root, 0o755)
    try:
        yield request.param(root)
    finally:
        point = os.path.join(root, "docs")
        if os.path.ismount(point):
            subprocess.run(["umount", "-l", point], check=True)
        shutil.rmtree(root)


def forget_cached(path):
    """From here on the file is on the disk only (where there is one)."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def answered_at_once(httpd, path, body):
    """Ten connections one after the other; each has its answer within a second."""
    for _ in range(10):
        began = time.monotonic()
        assert httpd.fetch("3", path).body == body
        took = time.monotonic() - began
        assert took < bound(1), "%s took %.2f s" % (path, took)


@pytest.mark.slow
def test_slow_downloads_hold_no_worker(docs, fresh_httpd):
    """200 at once with two workers; another request is still answered at once, a CGI as well."""
    httpd = fresh_httpd()
    httpd.add("H3MinWorkers 1\nH3MaxWorkers 2\n<Directory %s>\n    Require all granted\n"
              "</Directory>" % docs)
    httpd.vhost("h3.test", "Alias /slow/ %s/" % docs)
    digest = hashlib.sha256(content.pseudo_random(SLOW_SIZE)).hexdigest()
    slow = content.write(os.path.join(docs, "file.bin"), content.pseudo_random(SLOW_SIZE))
    forget_cached(slow)
    httpd.start()
    with Load(httpd, "-c", 2, "-m", SLOW_STREAMS // 2, "-n", SLOW_STREAMS, "--rate-limit",
              SLOW_RATE, "--sha256", paths=["/slow/file.bin"]) as client:
        until(lambda: httpd.gauge("Streams") >= SLOW_STREAMS, 10, "all downloads have begun")
        began = time.monotonic()
        answered_at_once(httpd, "/small.txt", content.SMALL)
        answered_at_once(httpd, "/cgi-bin/status-line.cgi", b"HTTP/3.0\n")
        assert client.running and httpd.gauge("Streams") >= SLOW_STREAMS, \
            "they were over after %.1f s" % (time.monotonic() - began)
        report = client.finish()
    assert {r["sha256"] for r in report["responses"]} == {digest}
    assert report["ok"] == len(report["responses"]) == SLOW_STREAMS
    httpd.wait_gauges(Streams=0, Requests=0, Connections=0)


@pytest.mark.sanitize
def test_all_sizes_near_the_borders(httpd):
    """Files and uploads around the sizes of chunks, windows and pipes."""
    sizes = [s + d for s in (1, 1200, 4096, 16384, 65536, 131072, 262144, 1 << 20)
             for d in (-1, 0, 1)]
    whole = content.pseudo_random((1 << 20) + 1)
    for size in sizes:
        content.write(httpd.path("htdocs", "sizes", "%d.bin" % size), whole[:size])
    with httpd.h3() as conn:
        streams = {size: conn.open("GET", "/sizes/%d.bin" % size) for size in sizes}
        for size, stream in streams.items():
            assert stream.finish().body == whole[:size], size
        for size in sizes:
            answer = conn.request("POST", "/cgi-bin/sha256.cgi", body=whole[:size])
            assert answer.text.split()[0] == hashlib.sha256(whole[:size]).hexdigest(), size


def test_file_that_shrinks_while_it_is_sent(httpd):
    """What is missing cannot be made up: the response is reset, and the child lives."""
    path = content.sparse(httpd.path("htdocs", "shrinks.bin"), 64 << 20)
    child = httpd.child()
    with httpd.h3() as conn:
        stream = conn.open("GET", "/shrinks.bin")
        stream.keep_body = False
        conn.wait(lambda: stream.received > 500000)
        os.truncate(path, 2 << 20)
        with pytest.raises(StreamEnded) as caught:
            stream.finish()
        assert caught.value.code == 0x102   # H3_INTERNAL_ERROR
        assert stream.received < 64 << 20
        assert conn.request("GET", "/small.txt").body == content.SMALL
    assert httpd.child() == child
