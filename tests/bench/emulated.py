# SPDX-License-Identifier: Apache-2.0
"""What scripts over emulated paths share: path (path.c), an httpd at its far end, clients here."""
import contextlib
import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import bench
from bench import HOST, BenchError, write

SERVER, SERVER6 = "198.18.0.1", "2001:2::1"
NETWORKS = "198.18.0.0/24", "2001:2::/64"
# A window must be able to hold what 100 Mbit/s and 300 ms have in the air, with a full queue, and
# what the kernel charges for it on top: 64 MiB. Without metrics, or a connection would begin with
# what the one before it has learned.
TCP_SETTINGS = (("4096 131072 67108864", "tcp_rmem"), ("4096 65536 67108864", "tcp_wmem"),
                ("1", "tcp_no_metrics_save"))
PATIENCE = 60
OBJECTS, OBJECT_SIZE = 60, 100 * 1024
# Of late packets, in a direction: above this the path was not what it says.
LATE_SHARE = 0.01

CONFIG = """
ServerName {host}
ServerRoot {root}
DefaultRuntimeDir {root}
PidFile {root}/httpd.pid
ErrorLog {root}/error.log
LogLevel warn
TypesConfig /dev/null
{user}
{load}
Listen {address}:443
DocumentRoot {docroot}
ServerLimit 1
StartServers 1
ThreadsPerChild 64
ThreadLimit 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
MaxConnectionsPerChild 0
KeepAlive On
KeepAliveTimeout 600
Timeout 600
DavLockDB {root}/locks/db
{extra}
<Directory />
    AllowOverride None
    Require all granted
</Directory>
Alias /dav {root}/dav
<Directory {root}/dav>
    Dav On
</Directory>
<VirtualHost {address}:443>
    ServerName {host}
    Protocols h3 h2 http/1.1
    SSLEngine on
    SSLCertificateFile {site}/cert.pem
    SSLCertificateKeyFile {site}/key.pem
</VirtualHost>
"""


def add_options(p):
    """Those that are the same for both programs."""
    p.add_argument("--add", action="append", default=[], metavar="'DIRECTIVE'",
                   help="a line for httpd's configuration, repeatable")
    p.add_argument("--path", action="append", default=[], metavar="'OPTIONS'",
                   help="more options for path, as '--reorder 1 --hold 5' (path --help)")
    p.add_argument("--ipv6", action="store_true", help="IPv6 instead of IPv4")
    p.add_argument("--seed", type=int, default=1, help="of the first run's losses")
    p.add_argument("--jobs", type=int, default=1,
                   help="paths at once: with more than one they share the processors")
    p.add_argument("--label", default="", help="a word about this build, for the table")
    p.add_argument("--json", help="write everything there")
    p.add_argument("--markdown", help="write the table there too")
    p.add_argument("--keep", action="store_true", help="leave the servers' files behind")


def beside_h3load(name):
    """The programs of this folder, where they were built."""
    h3load = os.environ.get("H3LOAD", "")
    path = os.path.join(os.path.dirname(h3load), name)
    if not h3load or not os.access(path, os.X_OK):
        raise BenchError("H3LOAD must hold the path of h3load, with path beside it")
    return path


@contextlib.contextmanager
def workplace(keep=False):
    folder = tempfile.mkdtemp(prefix="h3paths-")
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


class Path:
    """A running path, for `with`; afterwards its report is there. Ends with this process."""

    def __init__(self, options, folder, limit=600):
        self._report = os.path.join(folder, "path.json")
        self._command = [beside_h3load("path"), *map(str, options), "--limit", str(limit),
                         "--report", self._report, "--", "sh", "-c",
                         'echo "$PATH_SERVER_NET $PATH_CLIENT_NET"; exec cat']
        self.report = None

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        nets = self._process.stdout.readline().split()
        if len(nets) != 2:
            self._process.communicate()
            raise BenchError("%s: %s" % (shlex.join(self._command), self._process.returncode))
        self._server, self._client = nets
        return self

    def __exit__(self, *_):
        # cat ends with its input, and path with cat.
        self._process.communicate()
        if self._process.returncode == 0:
            with open(self._report) as f:
                self.report = json.load(f)

    def at_server(self, *command):
        return ["nsenter", "--net=" + self._server, *command]

    def at_client(self, *command):
        return ["nsenter", "--net=" + self._client, *command]

    def tune_tcp(self, congestion_control):
        """By the route: a namespace's own default may only be what the machine allows to all."""
        lines = ["echo '%s' >/proc/sys/net/ipv4/%s" % pair for pair in TCP_SETTINGS]
        for net in NETWORKS:
            lines.append("ip route replace %s dev path0 congctl %s" % (net, congestion_control))
        for place in self.at_server, self.at_client:
            done = subprocess.run(place("sh", "-ec", "\n".join(lines)), stderr=subprocess.PIPE,
                                  text=True, check=False)
            if done.returncode:
                raise BenchError("no TCP with %s: %s" % (congestion_control, done.stderr))


def was_late(report):
    """Whether the path kept its packets longer than it should have: too busy a machine."""
    return any(report[d]["late"] > LATE_SHARE * max(report[d]["packets"], 100)
               for d in ("down", "up"))


class Site:
    """What all servers of a run serve."""

    def __init__(self, folder, size):
        self.folder, self.docroot = folder, os.path.join(folder, "htdocs")
        self.ca = bench.make_certificate(folder)
        self.digest, self.size = {}, {}
        os.mkdir(self.docroot)
        self._add("1k", 1024)
        self._add("body", size)
        for i in range(OBJECTS):
            self._add("o%d" % i, OBJECT_SIZE)
        # Never read to its end: it costs no disk.
        with open(os.path.join(self.docroot, "endless"), "wb") as f:
            f.truncate(1 << 40)

    def _add(self, name, size):
        data = os.urandom(size)
        self.digest[name], self.size[name] = hashlib.sha256(data).hexdigest(), size
        with open(self.file(name), "wb") as f:
            f.write(data)

    def file(self, name):
        return os.path.join(self.docroot, name)


def file_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


class Server:
    """A stock httpd at the server's end of a path, for `with`."""

    def __init__(self, path, site, folder, address=SERVER, add=()):
        self._path, self._site, self._folder, self._address = path, site, folder, address
        self.dav = os.path.join(folder, "dav")
        self._log = os.path.join(folder, "error.log")
        for name in self.dav, os.path.join(folder, "locks"):
            os.mkdir(name)
            os.chmod(name, 0o777)
        os.chmod(folder, 0o755)
        load = bench.load_lines(
            os.environ.get("HTTPD_MODULES", "/usr/lib/apache2/modules"),
            ["mpm_event", "unixd", "log_config", "authz_core", "alias", "dir", "env", "mime",
             "setenvif", "socache_shmcb", "dav", "dav_fs", "ssl", "http2"], True)
        write(os.path.join(folder, "httpd.conf"), CONFIG.format(
            host=HOST, root=folder, site=site.folder, docroot=site.docroot, load=load,
            address="[%s]" % address if ":" in address else address, extra="\n".join(add),
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else ""))

    def __enter__(self):
        self._process = subprocess.Popen(self._path.at_server(
            os.environ.get("HTTPD", "/usr/sbin/apache2"), "-f",
            os.path.join(self._folder, "httpd.conf"), "-DFOREGROUND"), start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def _wait(self):
        """Over its own loopback, so that the path is fresh, and the server warm."""
        deadline = time.monotonic() + PATIENCE
        client = Client(self._path.at_server, self._site, self._folder, self._address)
        while True:
            if self._process.poll() is not None:
                raise BenchError("httpd ended with %d\n%s" % (self._process.returncode, self.log()))
            try:
                for protocol in "h1", "h3":
                    client.request(protocol, 2)
                return
            except (BenchError, subprocess.TimeoutExpired) as e:
                if time.monotonic() > deadline:
                    raise BenchError("httpd does not answer: %s\n%s" % (e, self.log())) from e
                time.sleep(0.1)

    def __exit__(self, *_):
        self._stop()
        if "exit signal" in self.log():
            raise BenchError("httpd crashed: " + self.log())

    def _stop(self):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log(self):
        try:
            with open(self._log, errors="replace") as f:
                return "".join(f.readlines()[-15:])
        except OSError:
            return ""


class Client:
    """curl for TCP, h3load for QUIC. Each method: seconds, or an exception."""

    def __init__(self, place, site, folder, address=SERVER, dav=None):
        self._place, self._site, self._folder, self._dav = place, site, folder, dav
        self._address = "[%s]" % address if ":" in address else address

    def url(self, name):
        return "https://%s/%s" % (HOST, name)

    def curl(self, protocol, *options):
        return self._place(
            "curl", "-sS", "--cacert", self._site.ca, "--resolve",
            "%s:443:%s" % (HOST, self._address), "--tls13-ciphers", bench.CIPHER, "--curves",
            bench.GROUP, "--http1.1" if protocol == "h1" else "--http2", *options)

    def h3load(self, limit, *options):
        return self._place(
            beside_h3load("h3load"), "--json", "--cacert", self._site.ca, "--connect",
            self._address + ":443", "--timeout", str(limit + 10), *map(str, options))

    def _run(self, command, limit):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=limit, check=False)
        if done.returncode:
            raise BenchError("%s: %d\n%s%s" % (shlex.join(command), done.returncode,
                                               done.stdout[-800:], done.stderr[-800:]))
        return done.stdout

    def _curl(self, protocol, status, count, limit, *options):
        """Seconds of the longest transfer."""
        out = self._run(self.curl(protocol, "-w", "%{http_version} %{http_code} %{time_total}\n",
                                  *options), limit).splitlines()
        seen = {tuple(line.split()[:2]) for line in out}
        if len(out) != count or seen != {("1.1" if protocol == "h1" else "2", str(status))}:
            raise BenchError("%s: not %d answers with %d: %s" % (protocol, count, status, out[:9]))
        return max(float(line.split()[2]) for line in out)

    def _h3load(self, status, limit, *options):
        report = json.loads(self._run(self.h3load(limit, "--verify", status, *options), limit))
        return report["seconds"], report

    def _get(self, protocol, name, limit):
        if protocol == "h3":
            seconds, report = self._h3load(200, limit, "--sha256", self.url(name))
            self._check(name, report["body_bytes"], report["responses"][0]["sha256"])
            return seconds
        out = os.path.join(self._folder, "out")
        seconds = self._curl(protocol, 200, 1, limit, "-o", out, self.url(name))
        self._check_file(name, out)
        return seconds

    def request(self, protocol, limit):
        return self._get(protocol, "1k", limit)

    def download(self, protocol, limit):
        return self._get(protocol, "body", limit)

    def upload(self, protocol, limit):
        source, target = self._site.file("body"), self.url("dav/body")
        if protocol == "h3":
            seconds, _ = self._h3load(201, limit, "--upload-method", "PUT", "--upload", source,
                                      target)
        else:
            # Without a round trip for 100 (Continue), which h3load does not ask for either.
            seconds = self._curl(protocol, 201, 1, limit, "-H", "Expect:", "-T", source, "-o",
                                 "/dev/null", target)
        self._check_file("body", os.path.join(self._dav, "body"))
        return seconds

    def objects(self, protocol, limit):
        """All at once over one connection; HTTP/1.1 has six, as browsers do."""
        names = ["o%d" % i for i in range(OBJECTS)]
        if protocol == "h3":
            seconds, report = self._h3load(200, limit, "--sha256", "-n", OBJECTS, "-m", OBJECTS,
                                           *map(self.url, names))
            got = {r["url"]: (r["bytes"], r["sha256"]) for r in report["responses"]}
            for name in names:
                self._check(name, *got.get(self.url(name), (0, "")))
            return seconds
        begun = time.monotonic()
        self._curl(protocol, 200, OBJECTS, limit, "-Z", "--parallel-max",
                   "6" if protocol == "h1" else str(OBJECTS), "-o",
                   os.path.join(self._folder, "o#1"), self.url("o[0-%d]" % (OBJECTS - 1)))
        # Of the transfers' own times none includes the wait for its turn.
        seconds = time.monotonic() - begun
        for name in names:
            self._check_file(name, os.path.join(self._folder, name))
        return seconds

    def _check_file(self, name, path):
        self._check(name, os.path.getsize(path), file_digest(path))
        os.unlink(path)

    def _check(self, name, size, digest):
        if size != self._site.size[name] or digest != self._site.digest[name]:
            raise WrongBytes("%s: %d bytes with SHA-256 %s, not %d with %s" % (
                name, size, digest, self._site.size[name], self._site.digest[name]))


class WrongBytes(BenchError):
    """A body is not what was sent."""


def machine():
    httpd = os.environ.get("HTTPD", "/usr/sbin/apache2")
    version = subprocess.run([httpd, "-v"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return {"httpd": version.splitlines()[0].split(":")[1].strip() if version else httpd,
            "kernel": platform.release(), "cpus": os.cpu_count()}


def heading(o, what):
    """The first line below a table's title: what it was measured on."""
    m = machine()
    return "httpd %s, Linux %s, %d processors. %s%s%s" % (
        m["httpd"], m["kernel"], m["cpus"], what,
        " Configuration: %s." % "; ".join("`%s`" % line for line in o.add) if o.add else "",
        " %s." % o.label if o.label else "")


def numbers(text):
    return [float(word) for word in text.split(",")]


def save(o, report, text):
    if o.json:
        write(o.json, json.dumps(report, indent=1) + "\n")
    if o.markdown:
        write(o.markdown, text)
    print(text)
