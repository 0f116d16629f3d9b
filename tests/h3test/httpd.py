# SPDX-License-Identifier: Apache-2.0
"""A private stock httpd: its configuration, its process, what is seen of it, and its clients."""
import operator

from .configuration import Configuration, ServerSettings
from .h1 import H1Conn
from .h2conn import H2Conn
from .h3conn import H3Conn, H3Settings
from .observation import Observation
from .process import Process


def _of(part, name):
    return property(operator.attrgetter("%s.%s" % (part, name)))


class Httpd:
    """One server; the keywords are ServerSettings'.

    conf is its Configuration, process its Process, seen its Observation. What tests need of them
    all the time is here too."""

    def __init__(self, ca, **settings):
        self.conf = Configuration(ca, ServerSettings(**settings))
        self.process = Process(self.conf)
        self.seen = Observation(self.conf, self.process)

    # -- its configuration

    ca = _of("conf", "ca")
    root = _of("conf", "root")
    docs = _of("conf", "docs")
    error_log = _of("conf", "error_log")
    conf_file = _of("conf", "conf_file")
    pid_file = _of("conf", "pid_file")
    port = _of("conf", "port")
    clear_port = _of("conf", "clear_port")
    mpm = _of("conf", "mpm")
    new_port = _of("conf", "new_port")
    path = _of("conf", "path")
    read = _of("conf", "read")
    tls = _of("conf", "tls")
    text = _of("conf", "text")
    write = _of("conf", "write")
    line_of = _of("conf", "line_of")

    def add(self, text):
        """Text for the main server, as it is."""
        self.conf.add(text)
        return self

    def vhost(self, name="h3.test", body="", **options):
        """A virtual host; the options are those of Configuration.vhost()."""
        self.conf.vhost(name, body, **options)
        return self

    # -- its process

    parent = _of("process", "parent")
    measurable = _of("process", "measurable")
    command = _of("process", "command")
    configtest = _of("process", "configtest")
    restarting = _of("process", "restarting")
    graceful = _of("process", "graceful")
    restart = _of("process", "restart")
    graceful_stop = _of("process", "graceful_stop")
    wait_stopped = _of("process", "wait_stopped")
    stop = _of("process", "stop")

    def start(self, *arguments):
        """Writes the configuration, runs httpd and waits until it serves."""
        self.process.start(*arguments)
        return self

    # -- what is seen of it

    allowed_trouble = _of("seen", "allowed_trouble")
    trouble = _of("seen", "trouble")
    log = _of("seen", "log")
    access = _of("seen", "access")
    wait_log = _of("seen", "wait_log")
    children = _of("seen", "children")
    child = _of("seen", "child")
    status = _of("seen", "status")
    gauge = _of("seen", "gauge")
    wait_gauges = _of("seen", "wait_gauges")
    udp_bound = _of("seen", "udp_bound")

    # -- clients, which trust the tests' CA

    def h1(self, address="127.0.0.1", port=None, **options):
        options.setdefault("ca_file", self.ca.file)
        if options.get("tls") is False:
            port = port or self.clear_port
        return H1Conn(address, port or self.port, **options)

    def h2(self, address="127.0.0.1", port=None, **options):
        options.setdefault("ca_file", self.ca.file)
        return H2Conn(address, port or self.port, **options)

    def h3(self, address="127.0.0.1", port=None, **settings):
        """The keywords are H3Settings'."""
        settings.setdefault("ca_file", self.ca.file)
        return H3Conn(address, port or self.port, H3Settings(**settings))

    def client(self, version, **options):
        return {"1.1": self.h1, "2": self.h2, "3": self.h3}[version](**options)

    def fetch(self, version, path="/", method="GET", fields=(), body=None, authority=None,
              **options):
        """One request on a connection of its own."""
        with self.client(version, **options) as conn:
            return conn.request(method, path, fields, body, authority)
