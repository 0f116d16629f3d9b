#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A demo server with HTTP/3 on this machine, apart from any httpd that runs here already.
#
#   sh build/demo.sh [start]    installs and builds what is missing, starts, says what to type
#   sh build/demo.sh stop
#   sh build/demo.sh status
#   sh build/demo.sh env        shell variables: eval "$(sh build/demo.sh env)"
#
# DEMO_PORT=8443 (TCP and UDP; the proxied backend takes the next), DEMO_ADDR="127.0.0.1 ::1"
# (what to listen on; "*" is every address), DEMO_HOST=localhost, DEMO_DIR=folder of its files,
# DEMO_BUILD=folder where make has been run already: then nothing is installed or built.

set -eu
. "$(dirname "$0")/lib.sh"

# Below root's home www-data could read nothing.
if [ "$(id -u)" = 0 ]; then
    default_dir=/var/lib/mod_http3-demo
else
    default_dir=${XDG_STATE_HOME:-$HOME/.local/state}/mod_http3-demo
fi
DEMO_DIR=${DEMO_DIR:-$default_dir}
DEMO_DIR=$(absolute "$DEMO_DIR")
DEMO_BUILD=$(absolute "${DEMO_BUILD:-}")
# How to type the other commands of this script for this demo.
demo_command="sh build/demo.sh"
[ "$DEMO_DIR" = "$default_dir" ] || demo_command="DEMO_DIR=$(quoted "$DEMO_DIR") $demo_command"

# Blanks and letters of every language are fine; what httpd.conf reads in its own way is not.
must_be_configurable() {
    case $2 in
    *[[:cntrl:]]* | *[\"\'\`\\\$\&\|\*\?\[\#]* | *]*)
        fail "$1=$(quoted "$2"): httpd cannot have a control character, a quote, or one of" \
             '` \ $ & | * ? [ ] # in that path, so choose another.' ;;
    esac
}
must_be_configurable DEMO_DIR "$DEMO_DIR"
must_be_configurable DEMO_BUILD "$DEMO_BUILD"

# What a running demo was started with counts, not what the environment says now.
pid_file=$DEMO_DIR/run/httpd.pid
running_pid() {
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-d $DEMO_DIR " && echo "$pid"
}
if running_pid >/dev/null && [ -r "$DEMO_DIR/run/settings" ]; then
    asked_port=${DEMO_PORT:-}
    . "$DEMO_DIR/run/settings"
else
    asked_port=
    DEMO_PORT=${DEMO_PORT:-8443}
    DEMO_HOST=${DEMO_HOST:-localhost}
    DEMO_ADDR=${DEMO_ADDR:-127.0.0.1 ::1}
fi
DEMO_CA=$DEMO_DIR/tls/ca.crt
DEMO_URL=https://$DEMO_HOST:$DEMO_PORT/

make_certificates() (
    mkdir -p "$DEMO_DIR/tls"
    cd "$DEMO_DIR/tls"
    if [ "$(cat names 2>/dev/null)" = "$DEMO_HOST" ] &&
        openssl x509 -checkend 86400 -noout -in server.crt >/dev/null 2>&1; then
        return 0
    fi
    umask 077
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -x509 -new -key ca.key -sha256 -days 30 -subj "/CN=mod_http3 demo CA" \
        -addext "basicConstraints=critical,CA:TRUE" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.crt
    openssl req -new -key server.key -subj "/CN=$DEMO_HOST" -out server.csr
    cat >server.ext <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$DEMO_HOST, DNS:localhost, DNS:h3.test, DNS:*.h3.test, IP:127.0.0.1, IP:::1
END
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 30 \
        -extfile server.ext -out server.crt
    cat ca.crt >>server.crt
    chmod 644 ca.crt server.crt
    echo "$DEMO_HOST" >names
)

# One small picture per tile; the number is its colour.
make_tiles() (
    mkdir -p "$DEMO_DIR/htdocs/tiles"
    cd "$DEMO_DIR/htdocs/tiles"
    i=0
    while [ $i -lt 100 ]; do
        name=$(printf %03d $i)
        printf '%s\n' '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">' \
            "<rect width=\"40\" height=\"40\" fill=\"hsl($((i * 18 / 5)) 45% 62%)\"/>" \
            '<text x="20" y="26" font-family="sans-serif" font-size="17" text-anchor="middle"' \
            "fill=\"#fff\">$i</text></svg>" >"$name.svg"
        i=$((i + 1))
    done
)

make_large_file() (
    mkdir -p "$DEMO_DIR/htdocs/large"
    cd "$DEMO_DIR/htdocs/large"
    [ ! -e 100MiB.bin.sha256 ] || return 0
    head -c 104857600 /dev/urandom >100MiB.bin
    sha256sum 100MiB.bin >100MiB.bin.sha256
)

# LoadModule lines for those that are not built into the server.
load_modules() {
    built_in=$("$HTTPD" -l)
    for module in mpm_event authn_core authz_core authz_host unixd log_config mime dir alias env \
        headers setenvif status deflate filter cgid socache_shmcb ssl http2 proxy proxy_http; do
        case $built_in in *"mod_$module.c"* | *" ${module#mpm_}.c"*) continue ;; esac
        if [ -e "$HTTPD_MODULES/mod_$module.so" ]; then
            echo "LoadModule ${module}_module \"$HTTPD_MODULES/mod_$module.so\""
        fi
    done
    echo "LoadModule http3_module \"$HTTP3_MODULE\""
    echo "LoadModule altsvc_module \"$ALTSVC_MODULE\""
}

# Its words: "*" is one of them, and no pattern for the files of the folder one is in.
listen_lines() (
    set -f
    for addr in $DEMO_ADDR; do
        addr=${addr#\[}
        addr=${addr%\]}
        case $addr in
        '*') echo "Listen $DEMO_PORT https" ;;
        *:*)
            # A container often has no IPv6: the file is empty, or not there.
            if [ -e /proc/net/if_inet6 ] && grep -q . /proc/net/if_inet6; then
                echo "Listen [$addr]:$DEMO_PORT https"
            fi ;;
        *) echo "Listen $addr:$DEMO_PORT https" ;;
        esac
    done
)

write_config() {
    mkdir -p "$DEMO_DIR/conf"
    echo 'text/html html
text/css css
text/javascript js
image/svg+xml svg
text/plain sha256 txt
application/octet-stream bin' >"$DEMO_DIR/conf/mime.types"
    load_modules >"$DEMO_DIR/conf/modules"
    listen_lines >"$DEMO_DIR/conf/listen"
    : >"$DEMO_DIR/conf/user"
    if [ "$(id -u)" = 0 ]; then
        printf 'User www-data\nGroup www-data\n' >"$DEMO_DIR/conf/user"
    fi
    sed -e "/@LOADMODULES@/{r $DEMO_DIR/conf/modules
d}" -e "/@USER@/{r $DEMO_DIR/conf/user
d}" -e "/@LISTEN@/{r $DEMO_DIR/conf/listen
d}" -e "s|@DIR@|$DEMO_DIR|g; s|@HOST@|$DEMO_HOST|g; s|@PORT@|$DEMO_PORT|g" \
        -e "s|@BACKEND_PORT@|$((DEMO_PORT + 1))|g" "$top/demo/httpd.conf.in" \
        >"$DEMO_DIR/conf/httpd.conf"
}

write_site() {
    # The folder may be somebody else's, or hold other things, only by mistake or malice.
    mkdir -p "$DEMO_DIR"
    [ -O "$DEMO_DIR" ] || fail "$DEMO_DIR belongs to somebody else: give another by DEMO_DIR=."
    [ -e "$DEMO_DIR/run/settings" ] || [ -e "$DEMO_DIR/.demo" ] || [ -z "$(ls -A "$DEMO_DIR")" ] ||
        fail "$DEMO_DIR is not empty and no demo's: give another by DEMO_DIR=."
    : >"$DEMO_DIR/.demo"
    mkdir -p "$DEMO_DIR/logs" "$DEMO_DIR/run" "$DEMO_DIR/htdocs"
    cp -R "$top/demo/htdocs/." "$DEMO_DIR/htdocs/"
    rm -rf "$DEMO_DIR/cgi-bin"
    cp -R "$top/demo/cgi-bin" "$DEMO_DIR/cgi-bin"
    make_tiles
    make_large_file
    run "looking after the test CA and certificate" make_certificates
    # Any user may read the CA's certificate; the keys are readable by their owner only.
    chmod 755 "$DEMO_DIR" "$DEMO_DIR/run" "$DEMO_DIR/tls"
    chmod -R a+rX "$DEMO_DIR/htdocs" "$DEMO_DIR/cgi-bin"
    write_config
}

httpd() {
    "$HTTPD" -d "$DEMO_DIR" -f "$DEMO_DIR/conf/httpd.conf" "$@"
}

explain_failure() {
    cat "$DEMO_DIR/run/start.log" >&2
    [ ! -e "$DEMO_DIR/logs/error_log" ] || tail -n 20 "$DEMO_DIR/logs/error_log" >&2
    if grep -qs 'Address already in use' "$DEMO_DIR/run/start.log" "$DEMO_DIR/logs/error_log"; then
        fail "Port $DEMO_PORT or $((DEMO_PORT + 1)) is taken by another program: choose another," \
             "for example DEMO_PORT=9443 sh build/demo.sh"
    fi
    fail "The demo server did not start; its log is $DEMO_DIR/logs/error_log."
}

wait_for() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.25
    done
    return 1
}

serves_http3() {
    grep -q 'HTTP/3 on UDP' "$DEMO_DIR/logs/error_log"
}

start() {
    if pid=$(running_pid); then
        say "the demo runs already (pid $pid) at $DEMO_URL"
        [ -z "$asked_port" ] || [ "$asked_port" = "$DEMO_PORT" ] ||
            fail "For port $asked_port stop it first: $demo_command stop"
        what_to_type
        return 0
    fi
    case $DEMO_HOST in
    *[!A-Za-z0-9.-]*) fail "DEMO_HOST=$(quoted "$DEMO_HOST") is no host name." ;;
    esac
    case $DEMO_ADDR in
    *[!A-Za-z0-9.:%*\[\]_\ -]*) fail "DEMO_ADDR=$(quoted "$DEMO_ADDR") are no addresses." ;;
    *[A-Za-z0-9:*]*) ;;
    *) fail "DEMO_ADDR has no address." ;;
    esac
    # The backend takes the next port.
    case $DEMO_PORT in
    '' | 0* | *[!0-9]* | ??????*) fail "DEMO_PORT=$DEMO_PORT is no number from 1 to 65534." ;;
    esac
    [ "$DEMO_PORT" -le 65534 ] || fail "DEMO_PORT=$DEMO_PORT is no number from 1 to 65534."
    [ -n "${DEMO_BUILD:-}" ] || sh "$top/build/setup.sh"
    built=${DEMO_BUILD:-$cache/obj}
    [ -e "$built/mod_http3/mod_http3.so" ] ||
        fail "DEMO_BUILD: $built/mod_http3/mod_http3.so does not exist."
    export_tree "$built"
    write_site
    : >"$DEMO_DIR/logs/error_log"
    for variable in DEMO_HOST DEMO_PORT DEMO_ADDR; do
        say_variable $variable
    done >"$DEMO_DIR/run/settings"
    say "starting httpd in $DEMO_DIR"
    httpd -k start >"$DEMO_DIR/run/start.log" 2>&1 || explain_failure
    wait_for running_pid || explain_failure
    # TCP is served also where UDP cannot be had.
    wait_for serves_http3 || { stop >/dev/null; explain_failure; }
    sed -n 's/.*\(HTTP\/3 on UDP.*\)/\1/p' "$DEMO_DIR/logs/error_log" | tail -n 1
    what_to_type
}

stop() {
    pid=$(running_pid) || { say "the demo does not run"; return 0; }
    kill -TERM "$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        if ! running_pid >/dev/null; then
            say "stopped; its files stay in $DEMO_DIR"
            return 0
        fi
        sleep 0.5
    done
    fail "httpd (pid $pid) does not stop."
}

status() {
    if pid=$(running_pid); then
        say "runs (pid $pid) at $DEMO_URL"
    else
        say "does not run"
        exit 3
    fi
}

spki_hash() {
    openssl x509 -in "$DEMO_DIR/tls/server.crt" -pubkey -noout |
        openssl pkey -pubin -outform der 2>/dev/null | openssl dgst -sha256 -binary |
        openssl base64
}

what_to_type() {
    no_sandbox=
    [ "$(id -u)" != 0 ] || no_sandbox='--no-sandbox '
    if curl --version 2>/dev/null | grep -q HTTP3; then
        curl_note="curl, this machine's can speak HTTP/3:"
    else
        curl_note="curl with HTTP/3 (this machine has none: Debian 12's cannot, Debian 13's can):"
    fi
    cat <<END

Chromium (it learns of HTTP/3 from the first answer: load the page twice):
  chromium ${no_sandbox}--user-data-dir=/tmp/h3-demo-profile \\
    --ignore-certificate-errors-spki-list=$(spki_hash) \\
    --origin-to-force-quic-on=$DEMO_HOST:1 $DEMO_URL
(The second flag trusts the test certificate. The third forces nothing, as nobody serves port 1, but
without it Chromium uses no HTTP/3 with a CA of one's own.)

$curl_note
  curl --http3-only --cacert '$DEMO_CA' -i ${DEMO_URL}cgi-bin/hello

Any curl, to see what is announced:
  curl --cacert '$DEMO_CA' -sI $DEMO_URL | grep -i alt-svc
END
    h3load=${DEMO_BUILD:-$cache/obj}/tests/bench/h3load
    if [ -x "$h3load" ]; then
        cat <<END

The load client that was built along speaks HTTP/3, too:
  '$h3load' --cacert '$DEMO_CA' --out /dev/stdout ${DEMO_URL}cgi-bin/hello
END
    fi
    cat <<END

Log:   tail -f '$DEMO_DIR/logs/access_log'
Stop:  $demo_command stop
END
}

# A line that gives a shell this variable's value.
say_variable() {
    eval "value=\$$1"
    printf '%s=%s\n' "$1" "$(quoted "$value")"
}

print_env() {
    for variable in DEMO_HOST DEMO_PORT DEMO_ADDR DEMO_URL DEMO_CA DEMO_DIR; do
        say_variable $variable
    done
    printf "DEMO_PID='%s'\n" "$(running_pid)"
    [ ! -e "$DEMO_DIR/tls/server.crt" ] || printf "DEMO_SPKI='%s'\n" "$(spki_hash)"
}

case ${1:-start} in
start) start ;;
stop) stop ;;
status) status ;;
env) print_env ;;
*) fail "unknown word $1; there are start, stop, status, env." ;;
esac
