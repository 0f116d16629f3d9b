# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a running httpd from outside: logs, reports, /server-status, /proc."""
import glob
import os
import re

from . import procs
from .h1 import H1Conn
from .installed import BINARY
from .wait import until

TROUBLE = re.compile(
    r"exit signal|AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:|"
    r"AH00046|[Aa]ssertion|AH00051|AH00052|double free|corrupted|stack smashing|"
    r"buffer overflow detected|pure virtual")

# A system call that it does not know; a module whose symbols www-data may not read; its own files,
# which were made by root.
OF_VALGRIND_ITSELF = re.compile(r"--\d+-- |==\d+== +(warning: connection to image .* failed|"
                                r"no debug info loaded|could not unlink /tmp/vgdb-\S+)\s*$")


class Observation:
    """It reads and asks, and changes nothing."""

    def __init__(self, conf, process):
        self.conf, self.process = conf, process
        self.allowed_trouble = []   # patterns of error_log lines that a test provokes

    # -- what it says

    def log(self):
        return self.conf.read(self.conf.error_log)

    def access(self):
        return self.conf.read(self.conf.access_log)

    def wait_log(self, pattern, timeout=10, after=0):
        """The first match of the pattern in error_log from offset `after` on."""
        return until(lambda: re.search(pattern, self.log()[after:]), timeout,
                     "error_log says %r" % pattern)

    def trouble(self):
        """Everything that says a process crashed or a sanitizer complained."""
        found = [line for line in (self.log() + self.conf.read(self.conf.console)).splitlines()
                 if TROUBLE.search(line)
                 and not any(re.search(p, line) for p in self.allowed_trouble)]
        for path in sorted(glob.glob(self.conf.reports + "/*")):
            text = "".join(line for line in self.conf.read(path).splitlines(True)
                           if not OF_VALGRIND_ITSELF.match(line))
            if text.strip():
                found.append("%s:\n%s" % (os.path.basename(path), text[:6000]))
        return found

    # -- its processes

    def children(self):
        """The pids of the children that serve (cgid's daemon is single-threaded and left out)."""
        found = procs.children(self.process.parent)
        if self.conf.mpm == "prefork":
            name = os.path.basename(BINARY)
            return [p for p in found if procs.status(p).get("Name", "").strip() == name]
        return [p for p in found if procs.threads(p) > 2]

    def child(self):
        """The pid of the only child, once it is the only one."""
        return until(lambda: len(self.children()) == 1 and self.children(), 30, "one child")[0]

    def udp_bound(self, port=None):
        """How many UDP sockets of the parent are bound to the port."""
        ports = list(procs.udp_sockets(self.process.parent).values())
        return ports.count(port or self.conf.port)

    # -- /server-status

    def status(self):
        """/server-status?auto as a dictionary of texts."""
        with H1Conn("127.0.0.1", self.conf.clear_port, tls=False, sni="status.test") as conn:
            response = conn.request("GET", "/server-status?auto", [("Connection", "close")])
        assert response.status == 200, response
        return dict(line.split(": ", 1) for line in response.text.splitlines() if ": " in line)

    def gauge(self, name):
        """One of mod_http3's numbers in /server-status."""
        return int(self.status()["Http3" + name])

    def wait_gauges(self, timeout=15, **wanted):
        """Until the named gauges have these values."""
        def met():
            have = self.status()
            return {n: have.get("Http3" + n) for n in wanted} == {
                n: str(v) for n, v in wanted.items()}
        until(met, timeout, "gauges %r" % wanted, step=0.1)
