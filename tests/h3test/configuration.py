# SPDX-License-Identifier: Apache-2.0
"""What a server is made of: its ServerRoot, its ports, its modules and the text of httpd.conf."""
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence

from . import content, ports
from .installed import has_module, load_line, module_under_test, need_choice, usual_mpm

# What Debian's default installation loads, and what the tests of this folder need besides.
MODULES = ("authz_core authz_host authz_user authn_core authn_file auth_basic access_compat alias "
           "allowmethods autoindex deflate dir env expires filter headers include mime negotiation "
           "proxy proxy_http reqtimeout rewrite setenvif socache_shmcb ssl status unique_id http2"
           ).split()
# What Debian's httpd has built in; another has them as modules, or others built in.
BASIC = "log_config logio unixd version watchdog".split()

BASE = """{load}
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
"""
STATUS = """<VirtualHost 127.0.0.1:%d>
    ServerName status.test
    <Location /server-status>
        %sRequire local
    </Location>
</VirtualHost>
"""
PREFORK = "StartServers 2\nMinSpareServers 1\nMaxSpareServers 3\nMaxRequestWorkers 10\n"
# One child is enough for the load of most tests, so that there is one to look at.
THREADED = ("StartServers 1\nServerLimit 4\nThreadLimit 64\nThreadsPerChild 16\n"
            "MinSpareThreads 1\nMaxSpareThreads 64\nMaxRequestWorkers 64\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server is, before any text is added to its configuration."""

    # -- modules
    mpm: str | None = None              # "event", "worker", "prefork"; None: the usual one
    mpm_text: str | None = None         # its directives; None: one child, and up to four
    http3: bool = True                  # whether the modules under test are loaded
    altsvc: bool = False
    order: str = "before"               # where they are loaded: "before" httpd's own, or "after"
    ssl: bool = True
    modules: Sequence[str] = ()         # of httpd's own, further ones
    without: Sequence[str] = ()         # and those that are left out

    # -- what it listens to and serves
    address: str = "*"                  # of the TLS port
    listen: bool = True                 # False: no Listen line, and no /server-status
    protocols: str = "h3 h2 http/1.1"   # of each TLS virtual host; "": no Protocols line
    site: bool = True                   # whether there is content to be served
    timeout: int = 20                   # Timeout, in seconds
    log_level: str = "info"             # of all but the modules under test, which have debug

    # -- its processes
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    descriptors: int | None = None      # how many each may open; None: as the tests


class Configuration:
    """A ServerRoot of its own. Text is added with add() and vhost(); write() writes it.

    port is the TLS port (TCP and UDP), clear_port the one for clear text, which also has
    /server-status."""

    def __init__(self, ca, settings):
        self.ca, self.settings = ca, settings
        self.mpm = settings.mpm or usual_mpm()
        need_choice(self.mpm, [*settings.without] if settings.ssl else [*settings.without, "ssl"])
        self.root = tempfile.mkdtemp(prefix="h3test-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
        os.chmod(self.root, 0o755)
        self.docs = self.path("htdocs")
        self.error_log = self.path("logs", "error_log")
        self.access_log = self.path("logs", "access_log")
        self.console = self.path("logs", "console")     # what httpd writes to the terminal
        self.conf_file = self.path("conf", "httpd.conf")
        self.pid_file = self.path("run", "httpd.pid")
        for name in ("conf", "logs", "run", "htdocs", "cgi-bin", "reports"):
            os.mkdir(self.path(name))
        # Sanitizers and valgrind write one file per process, and most run as www-data.
        self.reports = self.path("reports")
        os.chmod(self.reports, 0o1777)
        if settings.site:
            content.build(self.root)
        self.port, self.clear_port = ports.free_port(), ports.free_port()
        # The modules under test, in the order of their LoadModule lines; a test may set it.
        self.own = ["http3"] * settings.http3 + ["altsvc"] * settings.altsvc
        self._modules = self._stock()
        self._text = []

    def _stock(self):
        settings = self.settings
        names = [m for m in BASIC if has_module(m)]
        names += [m for m in MODULES if m not in settings.without and (settings.ssl or m != "ssl")]
        names += [m for m in settings.modules if m not in names]
        return names + ["cgi" if self.mpm == "prefork" else "cgid"]

    def remove(self):
        """Deletes the ServerRoot (H3TEST_KEEP keeps it, for a look afterwards)."""
        if not os.environ.get("H3TEST_KEEP"):
            shutil.rmtree(self.root)

    # -- files and ports

    def new_port(self):
        return ports.free_port()

    def path(self, *parts):
        """Of a file below ServerRoot."""
        return os.path.join(self.root, *parts)

    def read(self, *parts):
        """A file below ServerRoot as text; "" where there is none."""
        path = self.path(*parts)
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    # -- text

    def add(self, text):
        """Text for the main server, as it is."""
        self._text.append(text.rstrip() + "\n")

    def vhost(self, name="h3.test", body="", *, port=None, address=None, pair=None, tls=True,
              aliases=(), protocols=None, docs=None):
        """A virtual host; with tls=False one for clear text on clear_port."""
        port = port or (self.port if tls else self.clear_port)
        lines = ["<VirtualHost %s:%d>" % (address or self.settings.address, port),
                 "    ServerName %s" % name, "    DocumentRoot %s" % (docs or self.docs)]
        lines += ["    ServerAlias %s" % " ".join(aliases)] if aliases else []
        protocols = self.settings.protocols if protocols is None else protocols
        if tls and protocols:
            lines.append("    Protocols %s" % protocols)
        text = "\n".join(lines) + "\n"
        if tls:
            text += self.tls(pair or self.ca.leaf())
        self._text.append(text + body.rstrip() + "\n</VirtualHost>\n")

    def tls(self, pair):
        """mod_ssl's directives for a virtual host with this certificate."""
        return "    SSLEngine on\n    SSLCertificateFile %s\n    SSLCertificateKeyFile %s\n" % (
            pair.fullchain_file if pair.chain else pair.cert_file, pair.key_file)

    def replace(self, old, new):
        """Changes what was added last."""
        self._text[-1] = self._text[-1].replace(old, new)

    def text(self):
        """The whole of httpd.conf."""
        settings = self.settings
        base = BASE.format(
            load=self._load(), root=self.root, pid=self.pid_file, timeout=settings.timeout,
            level=" ".join([settings.log_level] + [name + ":debug" for name in self.own]),
            mpm=self._mpm(), listen=self._listen(),
            user="User www-data\nGroup www-data\n" if os.geteuid() == 0 else "")
        return base + "".join(self._text) + self._status()

    def _load(self):
        own = "".join("LoadModule %s_module %s\n" % (
            name, module_under_test(name.upper() + "_MODULE")) for name in self.own)
        stock = "".join(load_line(m) for m in ["mpm_" + self.mpm] + self._modules)
        return stock + own if self.settings.order == "after" else own + stock

    def _mpm(self):
        if self.settings.mpm_text is not None:
            return self.settings.mpm_text
        return PREFORK if self.mpm == "prefork" else THREADED

    def _listen(self):
        if not self.settings.listen:
            return ""
        address = self.settings.address
        return "Listen %s%d\nListen 127.0.0.1:%d\n" % (
            "" if address == "*" else address + ":", self.port, self.clear_port)

    def _status(self):
        handler = "SetHandler server-status\n        " * ("status" in self._modules)
        return STATUS % (self.clear_port, handler) if self.settings.listen else ""

    def write(self):
        with open(self.conf_file, "w") as out:
            out.write(self.text())

    def line_of(self, text):
        """The number of the written configuration's only line that holds `text`."""
        with open(self.conf_file) as conf:
            found = [n for n, line in enumerate(conf, 1) if text in line]
        assert len(found) == 1, "%r is on lines %r" % (text, found)
        return found[0]
