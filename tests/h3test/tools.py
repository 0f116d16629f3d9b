# SPDX-License-Identifier: Apache-2.0
"""Programs beside our own clients: curl, nghttp, h2load, and the load client h3load."""
import os
import shutil
import subprocess

from .wait import bound


def run(*command, timeout=60, check=True, env=None):
    """Runs a program: (exit code, output with stderr). check: another code than 0 is an error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=bound(timeout), check=False, env=env)
    output = done.stdout.decode("utf-8", "replace")
    assert not check or done.returncode == 0, "%s: %d\n%s" % (command, done.returncode, output)
    return done.returncode, output


def need(name):
    """The path of a program that the machine must have."""
    path = shutil.which(name)
    assert path, "%s is not installed" % name
    return path


def curl(httpd, path, *options, host="h3.test", timeout=60):
    return run(need("curl"), "-sS", "--cacert", httpd.ca.file, "--resolve",
               "%s:%d:127.0.0.1" % (host, httpd.port), *options,
               "https://%s:%d%s" % (host, httpd.port, path), timeout=timeout)


def nghttp(httpd, path="/", *options, host="h3.test", timeout=60):
    return run(need("nghttp"), "-nv", *options, "-H", ":authority: %s" % host,
               "https://%s:%d%s" % ("127.0.0.1", httpd.port, path), timeout=timeout)


def h2load(httpd, path, *options, timeout=120):
    return run(need("h2load"), *options, "https://127.0.0.1:%d%s" % (httpd.port, path),
               timeout=timeout)


def h3load_path():
    path = os.environ.get("H3LOAD")
    assert path and os.access(path, os.X_OK), \
        "H3LOAD must hold the path of the load client, it is %r" % path
    return path


def h3load(*options, timeout=300, check=True):
    return run(h3load_path(), *options, timeout=timeout, check=check)
