# SPDX-License-Identifier: Apache-2.0
"""A private stock httpd: its configuration, its life, and what can be seen of it from outside."""
import contextlib
import ctypes
import functools
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from . import content, ports, procs
from .h1 import H1Conn
from .h2conn import H2Conn
from .h3conn import H3Conn
from .wait import bound, until

BINARY = os.environ.get("HTTPD", "/usr/sbin/apache2")
MODULE_DIR = os.environ.get("HTTPD_MODULES", "/usr/lib/apache2/modules")

# What Debian's default installation loads, and what the tests of this folder need besides.
MODULES = ("authz_core authz_host authz_user authn_core authn_file auth_basic access_compat alias "
           "allowmethods autoindex deflate dir env expires filter headers include mime negotiation "
           "proxy proxy_http reqtimeout rewrite setenvif socache_shmcb ssl status unique_id http2"
           ).split()
# What Debian's httpd has built in; another has them as modules, or others built in.
BASIC = "log_config logio unixd version watchdog".split()

TROUBLE = re.compile(
    r"exit signal|AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:|"
    r"AH00046|[Aa]ssertion|AH00051|AH00052|double free|corrupted|stack smashing|"
    r"buffer overflow detected|pure virtual")


# A system call that it does not know; a module whose symbols www-data may not read.
OF_VALGRIND_ITSELF = re.compile(r"--\d+-- |==\d+== +(warning: connection to image .* failed|"
                                r"no debug info loaded)\s*$")


class HttpdError(AssertionError):
    """httpd did not do what it was told; the message holds what it said."""


def module_under_test(variable):
    path = os.environ.get(variable)
    if not path or not os.path.isabs(path) or not os.path.isfile(path):
        raise HttpdError("%s must hold the absolute path of the module to test, it is %r" % (
            variable, path))
    return path


@functools.lru_cache(maxsize=None)
def built_in():
    """The modules that the binary itself holds: "unixd", "mpm_event"."""
    lines = subprocess.run([BINARY, "-l"], stdout=subprocess.PIPE, check=True, timeout=30,
                           encoding="ascii").stdout.split()
    return {re.sub(r"^(event|worker|prefork)$", r"mpm_\1", re.sub(r"^mod_", "", line[:-2]))
            for line in lines if line.endswith(".c")}


def has_module(name):
    return name in built_in() or os.path.exists("%s/mod_%s.so" % (MODULE_DIR, name))


def _load_line(name):
    return "" if name in built_in() else "LoadModule %s_module %s/mod_%s.so\n" % (
        name, MODULE_DIR, name)


def _need_choice(mpm, without):
    """A test that wants another MPM, or not a module, than httpd has built in cannot be run."""
    fixed = [m for m in built_in() if m.startswith("mpm_") and m != "mpm_" + mpm]
    fixed += [m for m in without if m in built_in()]
    if fixed:
        pytest.skip("this httpd has built in: %s" % " ".join(fixed))


def run_mode():
    """'', 'asan', 'tsan' or 'valgrind': how httpd is run, from H3TEST_RUN."""
    mode = os.environ.get("H3TEST_RUN", "")
    if mode not in ("", "asan", "tsan", "valgrind"):
        raise HttpdError("H3TEST_RUN is asan, tsan, valgrind or nothing, not %r" % mode)
    return mode


def _die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


class Httpd:
    """One server. Text is added with add(), server() and vhost(); start() writes and runs it.

    port is the TLS port (TCP and UDP), clear_port the one for clear text, which also has
    /server-status."""

    def __init__(self, ca, *, mpm=None, http3=True, altsvc=False, ssl=True, modules=(),
                 without=(), protocols="h3 h2 http/1.1", log_level="info",
                 mpm_text=None, order="before", env=None, site=True, address="*", timeout=20,
                 listen=True):
        mpm = mpm or ([m[4:] for m in built_in() if m.startswith("mpm_")] or ["event"])[0]
        _need_choice(mpm, [*without] if ssl else [*without, "ssl"])
        self.ca, self.mpm, self.protocols, self.address = ca, mpm, protocols, address
        self.root = tempfile.mkdtemp(prefix="h3test-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
        os.chmod(self.root, 0o755)
        self.docs = os.path.join(self.root, "htdocs")
        self.error_log = os.path.join(self.root, "logs", "error_log")
        self.access_log = os.path.join(self.root, "logs", "access_log")
        self.conf_file = os.path.join(self.root, "conf", "httpd.conf")
        self.pid_file = os.path.join(self.root, "run", "httpd.pid")
        for name in ("conf", "logs", "run", "htdocs", "cgi-bin", "reports"):
            os.mkdir(os.path.join(self.root, name))
        # Sanitizers and valgrind write one file per process, and most run as www-data.
        self.reports = os.path.join(self.root, "reports")
        os.chmod(self.reports, 0o1777)
        if site:
            content.build(self.root)
        self.port, self.clear_port = ports.free_port(), ports.free_port()
        self.env = dict(env or {})
        self.timeout, self.log_level, self.listen = timeout, log_level, listen
        self._modules = [m for m in BASIC if has_module(m)]
        self._modules += [m for m in MODULES if m not in without and (ssl or m != "ssl")]
        self._modules += [m for m in modules if m not in self._modules]
        self._modules.append("cgi" if mpm == "prefork" else "cgid")
        self._own = ([("http3", "HTTP3_MODULE")] if http3 else []) + \
                    ([("altsvc", "ALTSVC_MODULE")] if altsvc else [])
        self.order, self.mpm_text = order, mpm_text
        self._text = []
        self._process = None
        self._files = []
        self.output = ""
        self.allowed_trouble = []   # patterns of error_log lines that a test provokes

    # -- configuration

    def new_port(self):
        return ports.free_port()

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def add(self, text):
        """Text for the main server, as it is."""
        self._text.append(text.rstrip() + "\n")
        return self

    def tls(self, pair):
        text = "    SSLEngine on\n    SSLCertificateFile %s\n    SSLCertificateKeyFile %s\n" % (
            pair.fullchain_file if pair.chain else pair.cert_file, pair.key_file)
        return text

    def vhost(self, name="h3.test", body="", *, port=None, address=None, pair=None, tls=True,
              aliases=(), protocols=None, docs=None):
        """A virtual host; with tls=False one for clear text on clear_port."""
        port = port or (self.port if tls else self.clear_port)
        lines = ["<VirtualHost %s:%d>" % (address or self.address, port),
                 "    ServerName %s" % name, "    DocumentRoot %s" % (docs or self.docs)]
        lines += ["    ServerAlias %s" % " ".join(aliases)] if aliases else []
        protocols = self.protocols if protocols is None else protocols
        if tls and protocols:
            lines.append("    Protocols %s" % protocols)
        text = "\n".join(lines) + "\n"
        if tls:
            text += self.tls(pair or self.ca.leaf())
        self._text.append(text + body.rstrip() + "\n</VirtualHost>\n")
        return self

    def _load(self):
        own = "".join("LoadModule %s_module %s\n" % (name, module_under_test(variable))
                      for name, variable in self._own)
        stock = "".join(_load_line(m) for m in ["mpm_" + self.mpm] + self._modules)
        return stock + own if self.order == "after" else own + stock

    def _mpm(self):
        if self.mpm_text is not None:
            return self.mpm_text
        if self.mpm == "prefork":
            return "StartServers 2\nMinSpareServers 1\nMaxSpareServers 3\nMaxRequestWorkers 10\n"
        return ("StartServers 1\nServerLimit 4\nThreadLimit 64\nThreadsPerChild 16\n"
                "MinSpareThreads 1\nMaxSpareThreads 64\nMaxRequestWorkers 64\n")

    def text(self):
        base = """{load}
ServerRoot {root}
DefaultRuntimeDir {root}/run
PidFile {pid}
{user}ServerName h3.test
ServerAdmin admin@h3.test
ErrorLog {root}/logs/error_log
LogLevel {level}
Timeout {timeout}
{mpm}
TypesConfig /etc/mime.types
LogFormat "%h %l %u \\"%r\\" %>s %b %H %{{HTTP3}}e %v %p" test
CustomLog {root}/logs/access_log test
{listen}ExtendedStatus On
<IfModule cgid_module>
    ScriptSock {root}/run/cgisock
</IfModule>
DocumentRoot {root}/htdocs
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory {root}/htdocs>
    Options Indexes FollowSymLinks MultiViews IncludesNOEXEC
    AllowOverride All
    Require all granted
</Directory>
ScriptAlias /cgi-bin/ {root}/cgi-bin/
<Directory {root}/cgi-bin>
    Options ExecCGI
    Require all granted
</Directory>
DirectoryIndex index.html
""".format(load=self._load(), root=self.root, pid=self.pid_file, timeout=self.timeout,
           level=" ".join([self.log_level] + [name + ":debug" for name, _ in self._own]),
           mpm=self._mpm(),
           user="User www-data\nGroup www-data\n" if os.geteuid() == 0 else "",
           listen=("Listen %s%d\nListen 127.0.0.1:%d\n" % (
               "" if self.address == "*" else self.address + ":", self.port, self.clear_port)
               if self.listen else ""))
        status = """<VirtualHost 127.0.0.1:%d>
    ServerName status.test
    <Location /server-status>
        SetHandler server-status
        Require local
    </Location>
</VirtualHost>
""" % self.clear_port if self.listen else ""
        return base + "".join(self._text) + status

    def write(self):
        with open(self.conf_file, "w") as out:
            out.write(self.text())

    def line_of(self, text):
        """The number of the configuration's only line that holds `text`."""
        with open(self.conf_file) as conf:
            found = [n for n, line in enumerate(conf, 1) if text in line]
        assert len(found) == 1, "%r is on lines %r" % (text, found)
        return found[0]

    # -- life

    def _command(self, *arguments):
        return [BINARY, "-d", self.root, "-f", self.conf_file, *arguments]

    def _environment(self):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}
        if run_mode() in ("asan", "tsan"):
            preload = os.environ.get("H3TEST_PRELOAD")
            if not preload:
                raise HttpdError("H3TEST_RUN=%s needs H3TEST_PRELOAD, the sanitizer's runtime"
                                 % run_mode())
            env["LD_PRELOAD"] = preload
            # httpd and APR are as they are: what they do among themselves is not looked at. A
            # worker that is stuck at the end of its child is left behind on purpose.
            env["TSAN_OPTIONS"] = "ignore_noninstrumented_modules=1:report_thread_leaks=0:" \
                "report_signal_unsafe=0:log_path=%s/tsan" % self.reports
            # httpd's own pools live until exit and are no leak; what the module leaks while it
            # runs is found by the memory tests.
            env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:disable_coredump=1:" \
                "handle_abort=1:log_path=%s/asan" % self.reports
            env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:log_path=%s/asan" \
                % self.reports
        env.update(self.env)
        return env

    def _wrapper(self):
        if run_mode() != "valgrind":
            return []
        suppressions = os.path.join(os.path.dirname(__file__), "valgrind.supp")
        extra = ["--suppressions=" + suppressions] if os.path.isfile(suppressions) else []
        return ["valgrind", "--quiet", "--leak-check=no", "--error-exitcode=0",
                "--log-file=%s/valgrind.%%p" % self.reports, *extra]

    def command(self, *arguments, timeout=60):
        """Runs the binary with these arguments on the written configuration; (code, output)."""
        done = subprocess.run(self._command(*arguments), env=self._environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=bound(timeout), check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def configtest(self, *arguments):
        """Writes the configuration and tests it; (code, output)."""
        self.write()
        return self.command("-t", *arguments)

    @property
    def parent(self):
        with open(self.pid_file) as file:
            return int(file.read())

    def _starts(self):
        return len(re.findall("resuming normal operations", self.log()))

    def _has_started(self, before):
        if self._process.poll() is not None:
            raise HttpdError("httpd ended with %s\n%s\n%s" % (
                self._process.returncode, self.console(), self.log()[-4000:]))
        return self._starts() > before and os.path.exists(self.pid_file)

    def console(self):
        """What httpd has written to the terminal."""
        path = self.path("logs", "console")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    def start(self):
        """Runs httpd in the foreground of a session of its own, and waits until it serves."""
        assert self._process is None, "it runs already"
        self.write()
        before = self._starts()
        with open(self.path("logs", "console"), "ab") as console:
            self._process = subprocess.Popen(
                self._wrapper() + self._command("-DFOREGROUND"), env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                preexec_fn=_die_with_parent)
        try:
            until(lambda: self._has_started(before), 30, "httpd starts")
        except BaseException:
            self.kill()
            raise
        return self

    def fails_to_start(self, timeout=20):
        """Starts a configuration that must not come up; returns everything it said."""
        try:
            self.start()
        except HttpdError as exc:
            return str(exc)
        self.stop()
        raise AssertionError("httpd started, but must not")

    @contextlib.contextmanager
    def restarting(self, number=signal.SIGUSR1):
        """Sends the signal at once; behind the block the restart is over."""
        before = self._starts()
        os.kill(self.parent, number)
        yield
        until(lambda: self._has_started(before), 30, "restart")

    def graceful(self):
        """As `apachectl graceful`: checks the configuration, then SIGUSR1."""
        self.write()
        before = self._starts()
        code, output = self.command("-k", "graceful")
        if code != 0:
            raise HttpdError("graceful: %d\n%s" % (code, output))
        until(lambda: self._has_started(before), 30, "graceful restart")

    def restart(self):
        self.write()
        with self.restarting(signal.SIGHUP):
            pass

    def graceful_stop(self):
        """Sends SIGWINCH and returns at once; wait_stopped() waits."""
        os.kill(self.parent, signal.SIGWINCH)

    def wait_stopped(self, timeout=30):
        try:
            self._process.wait(bound(timeout))
        except subprocess.TimeoutExpired as exc:
            raise AssertionError("httpd did not stop within %gs" % bound(timeout)) from exc
        self._process = None

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout=30):
        if self._process is None:
            return
        if self._process.poll() is None:
            # Without this mod_mpm_event crashes now and then: at its end a child looks at the
            # sockets of its threads, which a thread that has just served TCP is about to free.
            time.sleep(bound(0.05))
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(bound(timeout))
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.kill()

    def kill(self):
        """Ends the whole session of this httpd; nothing of it stays behind."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass                    # all of them have ended already
        self._process.wait()
        self._process = None

    def remove(self):
        """Deletes the ServerRoot (H3TEST_KEEP keeps it, for a look afterwards)."""
        if not os.environ.get("H3TEST_KEEP"):
            shutil.rmtree(self.root)

    # -- what it says

    def log(self):
        return self._file(self.error_log)

    def access(self):
        return self._file(self.access_log)

    @staticmethod
    def _file(path):
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    def wait_log(self, pattern, timeout=10, after=0):
        """The first match of the pattern in error_log behind offset `after`."""
        return until(lambda: re.search(pattern, self.log()[after:]), timeout,
                     "error_log says %r" % pattern)

    def trouble(self):
        """Everything that says a process crashed or a sanitizer complained."""
        found = [line for line in (self.log() + self.console()).splitlines()
                 if TROUBLE.search(line)
                 and not any(re.search(p, line) for p in self.allowed_trouble)]
        for path in sorted(glob.glob(self.reports + "/*")):
            text = "".join(line for line in self._file(path).splitlines(True)
                           if not OF_VALGRIND_ITSELF.match(line))
            if text.strip():
                found.append("%s:\n%s" % (os.path.basename(path), text[:6000]))
        return found

    # -- what can be seen

    def children(self):
        """The pids of the children that serve (cgid's daemon is single-threaded and left out)."""
        if self.mpm == "prefork":
            return [p for p in procs.children(self.parent)
                    if procs.status(p).get("Name", "").strip() == os.path.basename(BINARY)]
        return [p for p in procs.children(self.parent) if procs.threads(p) > 2]

    def child(self):
        """The pid of the only child, once it is the only one."""
        return until(lambda: len(self.children()) == 1 and self.children(), 30, "one child")[0]

    def status(self):
        """/server-status?auto as a dictionary of texts."""
        with H1Conn("127.0.0.1", self.clear_port, tls=False, sni="status.test") as conn:
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

    def udp_bound(self, port=None):
        """How many UDP sockets of the parent are bound to the port."""
        return list(procs.udp_sockets(self.parent).values()).count(port or self.port)

    # -- clients

    def h1(self, address="127.0.0.1", port=None, **options):
        options.setdefault("ca_file", self.ca.file)
        if options.get("tls") is False:
            port = port or self.clear_port
        return H1Conn(address, port or self.port, **options)

    def h2(self, address="127.0.0.1", port=None, **options):
        options.setdefault("ca_file", self.ca.file)
        return H2Conn(address, port or self.port, **options)

    def h3(self, address="127.0.0.1", port=None, **options):
        options.setdefault("ca_file", self.ca.file)
        return H3Conn(address, port or self.port, **options)

    def client(self, version, **options):
        return {"1.1": self.h1, "2": self.h2, "3": self.h3}[version](**options)

    def fetch(self, version, path="/", method="GET", fields=(), body=None, authority=None,
              **options):
        """One request on a connection of its own."""
        with self.client(version, **options) as conn:
            return conn.request(method, path, fields, body, authority)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
