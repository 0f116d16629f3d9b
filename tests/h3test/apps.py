# SPDX-License-Identifier: Apache-2.0
"""Application servers and stores behind httpd: private instances on sockets in a folder of the
test, run in the foreground and ended with it."""
import glob
import os
import signal
import socket
import subprocess

from .process import die_with_parent
from .wait import bound, until

PHP_CONF = """[global]
error_log = {folder}/php-fpm.log
pid = {folder}/php-fpm.pid
daemonize = no
[www]
{user}listen = {folder}/php.sock
listen.mode = 0666
pm = static
pm.max_children = 6
catch_workers_output = yes
php_admin_value[session.save_path] = {folder}
php_admin_value[upload_tmp_dir] = {folder}
php_admin_value[upload_max_filesize] = 16M
php_admin_value[post_max_size] = 16M
"""


def _answers(path):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return False
    return True


class App:
    """A program that is ready as soon as it listens on the socket `path`."""

    def __init__(self, command, path, folder, executable=None, env=None):
        self.path = path
        with open(os.path.join(folder, "console"), "ab") as console:
            self._process = subprocess.Popen(
                command, executable=executable, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=console, stderr=console, start_new_session=True, env=env,
                preexec_fn=die_with_parent)
        try:
            until(lambda: _answers(path) or self._process.poll() is not None, 20, "it listens")
            assert self._process.poll() is None, "%s: %d" % (command, self._process.returncode)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(bound(5))
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _folder(httpd, name):
    """For its sockets and files; the user of the children may write there."""
    folder = httpd.path(name)
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    return folder


def php_fpm(httpd):
    binary = max(glob.glob("/usr/sbin/php-fpm*"), default=None)
    assert binary, "php-fpm is not installed"
    folder = _folder(httpd, "php")
    user = "user = www-data\ngroup = www-data\n" if os.geteuid() == 0 else ""
    conf = os.path.join(folder, "php-fpm.conf")
    with open(conf, "w") as out:
        out.write(PHP_CONF.format(folder=folder, user=user))
    # Without the machine's php.ini.
    return App([binary, "-n", "-F", "-y", conf], os.path.join(folder, "php.sock"), folder)


def uwsgi(httpd, module_text):
    """A WSGI application: `module_text` is a Python module with the callable `application`."""
    folder = _folder(httpd, "uwsgi")
    with open(os.path.join(folder, "app.py"), "w") as out:
        out.write(module_text)
    binary = max(glob.glob("/usr/bin/uwsgi_python3*"), default=None)
    assert binary, "uwsgi-plugin-python3 is not installed"
    path = os.path.join(folder, "uwsgi.sock")
    user = ["--uid", "www-data", "--gid", "www-data"] if os.geteuid() == 0 else []
    return App([binary, "--master", "--die-on-term", "--socket", path, "--chmod-socket=666",
                "--threads", "6", "--processes", "1", "--enable-threads", *user,
                "--wsgi-file", os.path.join(folder, "app.py"), "--log-master"], path, folder)


def redis(httpd, port):
    """It listens on `port` of the loopback, too: mod_socache_redis knows no other sockets."""
    folder = _folder(httpd, "redis")
    path = os.path.join(folder, "redis.sock")
    # Debian's redis-tools holds the server under the name of another tool; its first word is
    # what tells it which of them it is.
    return App(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", path,
                "--save", "", "--dir", folder], path, folder,
               executable="/usr/bin/redis-check-rdb")
