/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated path between two network namespaces, for a command to measure
 * over. `path --help` lists what it can; README.md says what for. One thread
 * carries packets from one TUN device to the other.
 *
 *   path.c       the loop, the command, the report
 *   path_link    what happens to packets in one direction
 *   path_net     namespaces and devices            path_opts   the command line
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "path_link.h"
#include "path_net.h"
#include "path_opts.h"

#define NS 1000000000ull
/*
 * What arrives within a tick is handled at once: a wakeup for every packet would cost more than
 * the packets.
 */
#define TICK 100000
#define READS_PER_TURN 256
#define PACKET_MAX 65536
#define MERCY (5 * NS)
#define EXIT_NO_PATH 125
#define EXIT_LIMIT 124

typedef struct path_run {
    path_opts opts;
    path_net net[PATH_DIRECTIONS]; /* by the direction that begins there: the server's is DOWN */
    path_link link[PATH_DIRECTIONS];
    uint64_t unwritten[PATH_DIRECTIONS]; /* due, and not taken by the device */
    int epoll, signals;
    uint64_t now;
    uint64_t looked; /* when the devices were read last */
    uint64_t since;  /* what is read now arrived after that */
    pid_t command;
    int has_ended;
    int exit_code;
    uint64_t end_at, kill_at; /* PATH_LINK_NEVER: not yet */
} path_run;

static uint64_t now_ns(void);
static int prepare(path_run *run);
static int start_command(path_run *run, const sigset_t *old);
static void become_command(const path_run *run, const sigset_t *old);
static void be_punctual(void);
static void loop(path_run *run);
static void wait_for_events(path_run *run);
static void read_devices(path_run *run);
static void deliver(path_run *run);
static void look_at_signals(path_run *run);
static void reap(path_run *run);
static void look_at_limits(path_run *run);
static void end_command(path_run *run, int exit_code);
static void kill_the_rest(void);
static int report(path_run *run);

int main(int argc, char **argv)
{
    static path_run run;
    int rv = path_opts_parse(&run.opts, argc, argv);

    if (rv) {
        return rv < 0 ? 2 : 0;
    }
    if (prepare(&run)) {
        kill_the_rest();
        return EXIT_NO_PATH;
    }
    loop(&run);
    kill_the_rest();
    rv = report(&run);
    path_link_free(&run.link[PATH_DOWN]);
    path_link_free(&run.link[PATH_UP]);
    return rv ? EXIT_NO_PATH : run.exit_code;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static int watch(const path_run *run, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int prepare(path_run *run)
{
    const path_link_conf *conf = run->opts.link;
    double rtt = conf[PATH_DOWN].delay + conf[PATH_UP].delay;
    sigset_t set, old;
    int i;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &old);
    /* What the command leaves running becomes our child, for us to end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    /* The client's is made last: the command starts where we are then. */
    if (path_net_make(&run->net[PATH_DOWN], 1, (int)run->opts.mtu)
        || path_net_make(&run->net[PATH_UP], 2, (int)run->opts.mtu)) {
        return -1;
    }
    if (run->signals < 0 || run->epoll < 0 || watch(run, run->signals)
        || watch(run, run->net[PATH_DOWN].tun) || watch(run, run->net[PATH_UP].tun)) {
        fprintf(stderr, "path: epoll: %s\n", strerror(errno));
        return -1;
    }
    run->now = run->looked = now_ns();
    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        path_link_init(&run->link[i], &conf[i], rtt, (uint64_t)run->opts.seed * 2 + (uint64_t)i,
                       run->now);
    }
    run->kill_at = PATH_LINK_NEVER;
    run->end_at =
        run->opts.limit > 0 ? run->now + (uint64_t)(run->opts.limit * 1e9) : PATH_LINK_NEVER;
    be_punctual();
    return start_command(run, &old);
}

/* Without these rights the path is a little less exact, and `max_late` shows it. */
static void be_punctual(void)
{
    struct sched_param param = { .sched_priority = 1 };

    prctl(PR_SET_TIMERSLACK, 1);
    (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

static int start_command(path_run *run, const sigset_t *old)
{
    run->command = fork();
    if (run->command < 0) {
        fprintf(stderr, "path: fork: %s\n", strerror(errno));
        return -1;
    }
    if (!run->command) {
        become_command(run, old);
    }
    return 0;
}

static void name_net(const char *variable, int fd)
{
    char name[64];

    snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)getppid(), fd);
    setenv(variable, name, 1);
}

static void become_command(const path_run *run, const sigset_t *old)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 0);
    sigprocmask(SIG_SETMASK, old, NULL);
    name_net("PATH_SERVER_NET", run->net[PATH_DOWN].ns);
    name_net("PATH_CLIENT_NET", run->net[PATH_UP].ns);
    execvp(run->opts.command[0], run->opts.command);
    fprintf(stderr, "path: %s: %s\n", run->opts.command[0], strerror(errno));
    _exit(127);
}

static void loop(path_run *run)
{
    while (!run->has_ended) {
        wait_for_events(run);
        read_devices(run);
        deliver(run);
        look_at_signals(run);
        look_at_limits(run);
    }
}

static struct timespec span(uint64_t ns)
{
    struct timespec ts = { (time_t)(ns / NS), (long)(ns % NS) };

    return ts;
}

/* When something is to be done even if nothing arrives. */
static uint64_t next_time(const path_run *run)
{
    uint64_t when = run->end_at < run->kill_at ? run->end_at : run->kill_at, next;
    int i;

    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        next = path_link_next(&run->link[i]);
        when = next < when ? next : when;
    }
    return when;
}

static void wait_for_events(path_run *run)
{
    struct epoll_event events[3];
    struct timespec ts = span(run->looked + TICK);
    uint64_t when = next_time(run), before;

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    before = now_ns();
    ts = span(when > before ? when - before : 0);
    epoll_pwait2(run->epoll, events, 3, when == PATH_LINK_NEVER ? NULL : &ts, NULL);
    run->now = now_ns();
    /* What was there at once came while we slept: the wire was not idle all that time. */
    run->since = run->now - before < TICK / 4 ? run->looked : run->now;
}

static void read_devices(path_run *run)
{
    static uint8_t packet[PACKET_MAX];
    ssize_t n;
    int i, turns;

    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        for (turns = 0; turns < READS_PER_TURN; ++turns) {
            n = read(run->net[i].tun, packet, sizeof(packet));
            if (n <= 0) {
                break;
            }
            path_link_offer(&run->link[i], packet, (size_t)n, run->since, run->now);
        }
    }
    run->looked = run->now;
}

static void deliver(path_run *run)
{
    path_packet *p;
    int i, turns;

    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        for (turns = 0; turns < READS_PER_TURN; ++turns) {
            p = path_link_take(&run->link[i], run->now);
            if (!p) {
                break;
            }
            if (write(run->net[PATH_DIRECTIONS - 1 - i].tun, p->data, p->len) < 0) {
                ++run->unwritten[i];
            }
            free(p);
        }
    }
}

static void look_at_signals(path_run *run)
{
    struct signalfd_siginfo info;

    while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap(run);
        }
        else {
            end_command(run, 128 + (int)info.ssi_signo);
        }
    }
}

static void reap(path_run *run)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == run->command) {
            run->has_ended = 1;
            if (!run->exit_code) {
                run->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
        }
    }
}

static void look_at_limits(path_run *run)
{
    if (run->now >= run->end_at) {
        fprintf(stderr, "path: the command has run for %g seconds\n", run->opts.limit);
        end_command(run, EXIT_LIMIT);
    }
    if (run->now >= run->kill_at) {
        run->kill_at = PATH_LINK_NEVER;
        kill(run->command, SIGKILL);
    }
}

static void end_command(path_run *run, int exit_code)
{
    run->end_at = PATH_LINK_NEVER;
    run->kill_at = run->now + MERCY;
    run->exit_code = exit_code;
    kill(run->command, SIGTERM);
}

/* All children; theirs are ours as soon as they are orphans. */
static void kill_the_rest(void)
{
    char path[64];
    FILE *f;
    int pid, n = 1;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    while (n && (f = fopen(path, "re")) != NULL) {
        for (n = 0; fscanf(f, "%d", &pid) == 1; ++n) {
            kill(pid, SIGKILL);
        }
        fclose(f);
        if (n) {
            waitpid(-1, NULL, 0);
        }
    }
}

static void report_link(FILE *f, const path_run *run, int i)
{
    const path_link_stat *st = &run->link[i].stat;
    uint64_t limit = run->link[i].queue_limit;

    fprintf(f,
            "{\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"delivered\": %" PRIu64
            ", \"delivered_bytes\": %" PRIu64 ",\n  \"lost\": %" PRIu64
            ", \"dropped_queue\": %" PRIu64 ", \"dropped_mtu\": %" PRIu64
            ", \"dropped_device\": %" PRIu64 ", \"under_way\": %" PRIu64
            ",\n  \"reordered\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"unwritten\": %" PRIu64
            ",\n  \"queue_limit\": %" PRIu64 ", \"max_queue\": %" PRIu64 ", \"late\": %" PRIu64
            ", \"max_late_ms\": %.3f}",
            st->packets, st->bytes, st->delivered, st->delivered_bytes, st->lost, st->dropped_queue,
            st->dropped_mtu, path_net_dropped(&run->net[i]), path_link_under_way(&run->link[i]),
            st->reordered, st->duplicated, run->unwritten[i], limit == UINT64_MAX ? 0 : limit,
            st->max_queue, st->late, (double)st->max_late / 1e6);
}

static int report(path_run *run)
{
    FILE *f = run->opts.report ? fopen(run->opts.report, "we") : stderr;
    struct rusage usage;

    if (!f) {
        fprintf(stderr, "path: %s: %s\n", run->opts.report, strerror(errno));
        return -1;
    }
    getrusage(RUSAGE_SELF, &usage);
    fprintf(f, "{\"down\": ");
    report_link(f, run, PATH_DOWN);
    fprintf(f, ",\n \"up\": ");
    report_link(f, run, PATH_UP);
    fprintf(f, ",\n \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
            (double)(now_ns() - run->link[PATH_DOWN].begun) / 1e9,
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return f == stderr ? 0 : fclose(f);
}
