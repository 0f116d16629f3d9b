# SPDX-License-Identifier: Apache-2.0
"""The document root that the tests share. Everything in it is reproducible."""
import hashlib
import os

USER, PASSWORD = "alice", "open sesame"
# `alice` with PASSWORD, as `htpasswd -nbs` writes it.
HTPASSWD = "alice:{SHA}%s\n"

MTIME = 1700000000
SMALL = b"a small file\n"
TEXT = "".join("line %d of a text that deflate likes\n" % i for i in range(2000)).encode()


def pseudo_random(size, seed=b"h3"):
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_128(seed).digest(size)


LARGE = pseudo_random(1 << 20)

CGI = {
    "env.cgi": 'echo "Content-Type: text/plain"; echo "X-Cgi: yes"; echo; env | LC_ALL=C sort\n',
    "echo.cgi": 'echo "Content-Type: application/octet-stream"; echo "X-Method: $REQUEST_METHOD"\n'
                'echo "X-Length: $CONTENT_LENGTH"; echo; exec cat\n',
    "sha256.cgi": 'echo "Content-Type: text/plain"; echo; exec sha256sum\n',
    "status.cgi": 'echo "Status: 404 Not Here"; echo "Content-Type: text/plain"; echo\n'
                  'echo "a CGI says no"\n',
    "redirect.cgi": 'echo "Location: https://elsewhere.test/there"; echo\n',
    "stream.cgi": 'echo "Content-Type: text/plain"; echo\n'
                  'i=0; while [ $i -lt 20 ]; do echo "piece $i"; i=$((i+1)); sleep 0.02; done\n',
    "endless.cgi": 'echo "Content-Type: application/octet-stream"; echo; exec cat /dev/zero\n',
    "slowread.cgi": '[ -z "$QUERY_STRING" ] || sleep "$QUERY_STRING"\n'
                    'echo "Content-Type: text/plain"; echo; exec sha256sum\n',
    "wait.cgi": 'sleep "${QUERY_STRING:-1}"; echo "Content-Type: text/plain"; echo; echo waited\n',
    "crash.cgi": 'exit 3\n',
    # A Content-Length that is never reached, then the end of output.
    "short.cgi": 'echo "Content-Type: text/plain"; echo "Content-Length: 1000"; echo\n'
                 'echo "only this"; sleep 0.2\n',     # or httpd counts before the head goes
}


def write(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if isinstance(data, bytes) else "w") as out:
        out.write(data)
    os.chmod(path, mode)
    # Old enough for a strong ETag: httpd gives a file of this second a weak one.
    os.utime(path, (MTIME, MTIME))
    return path


def sparse(path, size):
    """A file of `size` bytes that needs hardly any room; its bytes are zero."""
    with open(path, "wb") as out:
        out.truncate(size)
    os.chmod(path, 0o644)
    return path


def htpasswd_line():
    import base64
    return HTPASSWD % base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()


def build(root):
    """Fills root/htdocs, root/cgi-bin and root/htpasswd."""
    docs = os.path.join(root, "htdocs")
    pages = {
        "index.html": "<!doctype html><title>index</title><p>the index\n",
        "small.txt": SMALL,
        "empty.txt": b"",
        "text.txt": TEXT,
        "large.bin": LARGE,
        "dir/index.html": "<!doctype html><title>dir</title><p>a directory\n",
        "list/one.txt": "one\n",
        "list/two.txt": "two\n",
        "missing.html": "<!doctype html><title>404</title><p>the page for what is missing\n",
        "denied.html": "<!doctype html><title>403</title><p>the page for what is denied\n",
        "ssi/page.shtml": "protocol=<!--#echo var=\"SERVER_PROTOCOL\" -->\n"
                          "https=<!--#echo var=\"HTTPS\" -->\n"
                          "<!--#include virtual=\"/small.txt\" -->"
                          "cgi=<!--#include virtual=\"/cgi-bin/status-line.cgi\" -->end\n",
        "ssi/plain.shtml": "before <!--#include virtual=\"/small.txt\" -->after\n",
        "deflate/text.txt": TEXT,
        "private/index.html": "<!doctype html><title>private</title><p>you may\n",
        "private/.htaccess": "AuthType Basic\nAuthName \"private\"\nAuthUserFile %s\n"
                             "Require valid-user\n" % os.path.join(root, "htpasswd"),
        "negotiate/page.html.en": "english\n",
        "negotiate/page.html.de": "deutsch\n",
    }
    for name, data in pages.items():
        write(os.path.join(docs, name), data)
    for name, body in CGI.items():
        write(os.path.join(root, "cgi-bin", name), "#!/bin/sh\n" + body, 0o755)
    write(os.path.join(root, "cgi-bin", "status-line.cgi"),
          "#!/bin/sh\necho 'Content-Type: text/plain'; echo\necho \"$SERVER_PROTOCOL\"\n", 0o755)
    # www-data reads it: basic auth is checked by the children.
    write(os.path.join(root, "htpasswd"), htpasswd_line())
    # So are folders: with MultiViews theirs is part of the ETag.
    for folder, _, _ in os.walk(docs):
        os.utime(folder, (MTIME, MTIME))
    return docs


