# SPDX-License-Identifier: Apache-2.0
"""pebble, the small ACME server of Let's Encrypt, on the loopback interface."""
import json
import os
import socket
import ssl
import subprocess
import urllib.request

from . import ports
from .process import die_with_parent
from .wait import until


class Pebble:
    """One server with a root of its own; it takes every challenge for answered."""

    def __init__(self, ca, folder, validity=3600):
        """validity: of what it issues, seconds."""
        binary = os.environ.get("PEBBLE")
        assert binary and os.access(binary, os.X_OK), \
            "PEBBLE must hold the path of the ACME server, it is %r" % binary
        self.port, self.management = ports.free_port(), ports.free_port()
        self.url = "https://127.0.0.1:%d/dir" % self.port
        self.folder = folder
        pair = ca.leaf()
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, "pebble.json")
        with open(config, "w") as out:
            json.dump({"pebble": {
                "listenAddress": "127.0.0.1:%d" % self.port,
                "managementListenAddress": "127.0.0.1:%d" % self.management,
                "certificate": pair.cert_file, "privateKey": pair.key_file,
                "httpPort": 80, "tlsPort": 443, "certificateValidityPeriod": validity}}, out)
        self._log = open(os.path.join(folder, "pebble.log"), "wb")
        self._process = subprocess.Popen(
            [binary, "-config", config], stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=self._log, preexec_fn=die_with_parent,
            env={"PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_VA_NOSLEEP": "1",
                 "PEBBLE_WFE_NONCEREJECT": "0", "PATH": "/usr/bin:/bin"})
        try:
            until(self._listens, 20, "pebble listens")
            self.root_file = self._fetch_root(ca)
        except BaseException:
            self.stop()
            raise

    def _listens(self):
        assert self._process.poll() is None, "pebble ended with %s" % self._process.returncode
        for port in (self.port, self.management):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def _fetch_root(self, ca):
        path = os.path.join(self.folder, "root.pem")
        with urllib.request.urlopen("https://127.0.0.1:%d/roots/0" % self.management, timeout=10,
                                    context=ssl.create_default_context(cafile=ca.file)) as answer, \
                open(path, "wb") as out:
            out.write(answer.read())
        return path

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._log.close()
