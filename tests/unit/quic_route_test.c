/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_route: the program in an interpreter of our own and in the kernel, the
 * life of slots, owners that are killed. Includes the .c to die with its lock.
 */
#include "quic/quic_route.c"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls/quic_keys.h"
#include "tap.h"

static quic_cid_secret secret; /* of every group here */
static int attaches;
static int refuse_attach; /* errno */

/* Takes the place of libc's for quic_route.o and quic_udp.o. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF) {
        if (refuse_attach) {
            errno = refuse_attach;
            return -1;
        }
        ++attaches;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

/* Packets, with every byte that does not matter random. */

static size_t short_packet(uint8_t pkt[64], const uint8_t cid[QUIC_CID_LEN])
{
    quic_keys_rand(pkt, 64);
    pkt[0] &= 0x7f;
    memcpy(pkt + 1, cid, QUIC_CID_LEN);
    return 40;
}

static size_t long_packet(uint8_t pkt[64], const uint8_t *cid, size_t len)
{
    quic_keys_rand(pkt, 64);
    pkt[0] |= 0x80;
    pkt[5] = (uint8_t)len;
    memcpy(pkt + 6, cid, len);
    return 60;
}

static size_t initial_packet(uint8_t pkt[64])
{
    uint8_t cid[20];

    quic_keys_rand(cid, sizeof(cid));
    return long_packet(pkt, cid, 8 + cid[0] % 13);
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Classic BPF, as far as the program uses it. -1 for what the kernel would
 * refuse; *overrun counts loads past the end.
 */
static int interpret(const struct sock_filter *prog, int n, const uint8_t *pkt, size_t len,
                     int *overrun)
{
    uint32_t a = 0, x = 0, mem[BPF_MEMWORDS] = { 0 };
    int pc;

    for (pc = 0; pc >= 0 && pc < n; ++pc) {
        const struct sock_filter *f = &prog[pc];
        size_t at = f->k, width = 4;

        switch (f->code) {
        case BPF_LD | BPF_W | BPF_LEN:
            a = (uint32_t)len;
            break;
        case BPF_LD | BPF_B | BPF_ABS:
            width = 1;
            /* fall through */
        case BPF_LD | BPF_W | BPF_IND:
            at += width == 4 ? x : 0;
            if (at + width > len) {
                ++*overrun;
                return 0;
            }
            a = width == 4 ? big_endian(pkt + at) : pkt[at];
            break;
        case BPF_LD | BPF_W | BPF_MEM:
            a = mem[f->k];
            break;
        case BPF_LDX | BPF_W | BPF_MEM:
            x = mem[f->k];
            break;
        case BPF_LDX | BPF_W | BPF_IMM:
            x = f->k;
            break;
        case BPF_ST:
            mem[f->k] = a;
            break;
        case BPF_STX:
            mem[f->k] = x;
            break;
        case BPF_MISC | BPF_TAX:
            x = a;
            break;
        case BPF_ALU | BPF_MUL | BPF_K:
            a *= f->k;
            break;
        case BPF_ALU | BPF_ADD | BPF_K:
            a += f->k;
            break;
        case BPF_ALU | BPF_ADD | BPF_X:
            a += x;
            break;
        case BPF_ALU | BPF_XOR | BPF_X:
            a ^= x;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            a >>= f->k;
            break;
        case BPF_ALU | BPF_MOD | BPF_K:
            a %= f->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += (int)f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += a & f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return (int)f->k;
        default:
            return -1;
        }
    }
    return -1;
}

static int in_list(int slot, const uint8_t *list, int n)
{
    int i;

    for (i = 0; i < n; ++i) {
        if (list[i] == slot) {
            return 1;
        }
    }
    return 0;
}

/* Packets of every kind against the rule; returns how many went wrong. */
static int check_program(const uint8_t *accepting, int na, const uint8_t *known, int nk)
{
    struct sock_filter prog[PROGRAM_MAX];
    int n = write_program(prog, &secret, accepting, na, known, nk), i, wrong = 0, overrun = 0;
    quic_cid_secret other;
    uint8_t pkt[64];
    size_t len;

    if (n > PROGRAM_MAX) {
        return 1000000;
    }
    quic_cid_secret_make(&other);
    for (i = 0; i < 1500; ++i) {
        uint8_t slot = (uint8_t)(i % QUIC_SLOTS_MAX);
        int got, ours = in_list(slot, known, nk);
        ngtcp2_cid cid;

        quic_cid_make(&cid, &secret, slot, (uint8_t)i);
        len = i & 1 ? short_packet(pkt, cid.data) : long_packet(pkt, cid.data, QUIC_CID_LEN);
        got = interpret(prog, n, pkt, len, &overrun);
        wrong += ours ? got != slot : !in_list(got, accepting, na);

        /* The same id, but cut: not a packet of ours any more. */
        got = interpret(prog, n, pkt, (size_t)i % 14, &overrun);
        wrong += got != accepting[0];

        /* Our id's bytes as the start of an id of another length. */
        if (i & 1) {
            quic_keys_rand(pkt, sizeof(pkt));
            pkt[0] |= 0x80;
            pkt[5] = 18;
            memcpy(pkt + 6, cid.data, QUIC_CID_LEN);
            wrong += !in_list(interpret(prog, n, pkt, 60, &overrun), accepting, na);
        }
        /* A word whose upper half is no mark, but the number of a slot. */
        len = short_packet(pkt, cid.data);
        pkt[1] ^= QUIC_CID_MARK >> 8;
        pkt[2] ^= (QUIC_CID_MARK & 0xff) ^ (nk > 0 ? known[nk - 1] : 0);
        wrong += !in_list(interpret(prog, n, pkt, len, &overrun), accepting, na);

        len = initial_packet(pkt);
        got = interpret(prog, n, pkt, len, &overrun);
        wrong += !in_list(got, accepting, na) || got != interpret(prog, n, pkt, len - 20, &overrun);
    }
    return wrong + overrun;
}

static void test_program(void)
{
    static const struct {
        int first_accepting, naccepting, first_known, nknown;
    } rows[] = {
        { 0, 1, 0, 0 },     { 0, 1, 0, 1 },     { 5, 1, 0, 5 },     { 3, 4, 0, 8 },
        { 0, 128, 0, 128 }, { 127, 1, 0, 128 }, { 64, 64, 0, 128 }, { 0, 127, 100, 28 },
    };
    uint8_t accepting[QUIC_SLOTS_MAX], known[QUIC_SLOTS_MAX];
    struct sock_filter prog[PROGRAM_MAX];
    int count[4] = { 0 }, i, k, n, overrun = 0;
    uint8_t pkt[64];
    size_t len;

    for (i = 0; i < (int)(sizeof(rows) / sizeof(*rows)); ++i) {
        for (k = 0; k < rows[i].naccepting; ++k) {
            accepting[k] = (uint8_t)(rows[i].first_accepting + k);
        }
        for (k = 0; k < rows[i].nknown; ++k) {
            known[k] = (uint8_t)(rows[i].first_known + k);
        }
        is_int(check_program(accepting, rows[i].naccepting, known, rows[i].nknown), 0,
               "packets of all kinds, %d slots accept from %d, %d are known", rows[i].naccepting,
               rows[i].first_accepting, rows[i].nknown);
    }

    for (k = 0; k < 4; ++k) {
        accepting[k] = (uint8_t)(k * 2);
    }
    n = write_program(prog, &secret, accepting, 4, NULL, 0);
    for (i = 0; i < 8000; ++i) {
        len = initial_packet(pkt);
        k = interpret(prog, n, pkt, len, &overrun);
        if (k >= 0 && k <= 6 && k % 2 == 0) {
            ++count[k / 2];
        }
    }
    ok(count[0] > 1700 && count[1] > 1700 && count[2] > 1700 && count[3] > 1700,
       "8000 Initials spread over four: %d %d %d %d", count[0], count[1], count[2], count[3]);
    /* Ids counted up, as a simple client might. */
    memset(count, 0, sizeof(count));
    for (i = 0; i < 8000; ++i) {
        uint8_t cid[8] = { 0, 0, 0, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i };
        len = long_packet(pkt, cid, sizeof(cid));
        ++count[interpret(prog, n, pkt, len, &overrun) / 2 % 4];
    }
    ok(count[0] > 1000 && count[1] > 1000 && count[2] > 1000 && count[3] > 1000,
       "ids counted up spread too: %d %d %d %d", count[0], count[1], count[2], count[3]);
}

/* The kernel */

typedef struct {
    quic_listener *l[2];
    quic_route *r;
    quic_group group;
    int client[2];
} stage;

static quic_listener *open_listener(const char *ip, int nslots)
{
    quic_addr a;
    quic_listener *l = NULL;
    const char *what;

    memset(&a, 0, sizeof(a));
    a.in.sin_family = AF_INET;
    inet_pton(AF_INET, ip, &a.in.sin_addr);
    if (quic_listener_open(&l, &a, 443, 0, nslots, 1 << 20, &what) != APR_SUCCESS
        || quic_listener_bind(l, &what) != APR_SUCCESS) {
        fail("%s", what);
        exit(done_testing());
    }
    return l;
}

static void set_stage(stage *st, int nslots, int nlisteners)
{
    int i;

    st->r = quic_route_create(nslots);
    st->group = (quic_group){ st->r, secret, st->l, nlisteners };
    for (i = 0; i < nlisteners; ++i) {
        st->l[i] = open_listener(i ? "127.0.0.2" : "127.0.0.1", nslots);
        st->client[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (connect(st->client[i], &st->l[i]->addr.sa, quic_addr_len(&st->l[i]->addr)) != 0) {
            fail("connect: %s", strerror(errno));
        }
    }
    quic_route_attach(&st->group);
}

static void clear_stage(stage *st)
{
    int i;

    for (i = 0; i < st->group.n; ++i) {
        quic_listener_close(st->l[i]);
        close(st->client[i]);
    }
    munmap(st->r, sizeof(*st->r) + (size_t)st->r->nslots * sizeof(route_slot));
}

static int claim(stage *st, pid_t pid, int generation, uint8_t *epoch)
{
    int slot = -1;
    apr_status_t rv = quic_route_claim(&slot, epoch, &st->group, pid, generation);

    return rv == APR_SUCCESS ? slot : APR_STATUS_IS_EAGAIN(rv) ? -1 : -2;
}

static void drain(stage *st, int slot)
{
    quic_route_drain(&st->group, slot);
}

static void release(stage *st, int slot)
{
    quic_route_release(&st->group, slot);
}

static int reap(stage *st)
{
    return quic_route_reap(&st->group);
}

static int arrived(const quic_listener *l, int slot, int take)
{
    char c[64];

    return recv(l->fd[slot], c, sizeof(c), MSG_DONTWAIT | (take ? 0 : MSG_PEEK)) >= 0;
}

/* Sends, and takes it where it arrives: the slot, -1 nowhere, -2 in two places. */
static int slot_of(stage *st, int listener, const uint8_t *pkt, size_t len)
{
    quic_listener *l = st->l[listener];
    struct pollfd p[QUIC_SLOTS_MAX];
    int i, found = -1;

    send(st->client[listener], pkt, len, 0);
    for (i = 0; i < l->nslots; ++i) {
        p[i] = (struct pollfd){ .fd = l->fd[i], .events = POLLIN };
    }
    poll(p, (nfds_t)l->nslots, 2000);
    for (i = 0; i < l->nslots; ++i) {
        if (arrived(l, i, 1)) {
            found = found == -1 ? i : -2;
        }
    }
    return found;
}

static int slot_of_id(stage *st, int listener, int slot, int epoch, int is_long)
{
    uint8_t pkt[64];
    ngtcp2_cid cid;
    size_t len;

    quic_cid_make(&cid, &secret, (uint8_t)slot, (uint8_t)epoch);
    len = is_long ? long_packet(pkt, cid.data, QUIC_CID_LEN) : short_packet(pkt, cid.data);
    return slot_of(st, listener, pkt, len);
}

/* Where `n` Initials go: a set of slots as bits. */
static unsigned initials(stage *st, int n)
{
    unsigned set = 0;
    uint8_t pkt[64];
    int i;

    for (i = 0; i < n; ++i) {
        int s = slot_of(st, i % st->group.n, pkt, initial_packet(pkt));
        set |= s >= 0 ? 1u << s : 1u << 31;
    }
    return set;
}

static int misrouted(stage *st, int slot, int epoch, int n)
{
    int i, wrong = 0;

    for (i = 0; i < n; ++i) {
        wrong += slot_of_id(st, i % st->group.n, slot, epoch, i % 3 == 0) != slot;
    }
    return wrong;
}

static void test_steering(void)
{
    enum { N = 8 };
    stage st;
    int slot[N], i, wrong = 0;
    uint8_t epoch[N], pkt[64];

    set_stage(&st, N, 2);
    ok(quic_route_is_steered(st.r), "the kernel takes the program");
    is_int(quic_route_nslots(st.r), N, "slots");
    is_int(quic_route_live(st.r), 0, "nobody lives yet");
    is_int(initials(&st, 20), 1u << 0, "before any child: Initials wait for the first one");

    for (i = 0; i < N; ++i) {
        slot[i] = claim(&st, getpid(), 1, &epoch[i]);
        wrong += slot[i] != i || epoch[i] != 1;
    }
    is_int(wrong, 0, "claims in order, each epoch raised");
    is_int(claim(&st, getpid(), 1, &epoch[0]), -1, "a ninth child waits");
    is_int(quic_route_live(st.r), N, "all live");
    for (i = 0, wrong = 0; i < N; ++i) {
        wrong += misrouted(&st, i, epoch[i], 100);
    }
    is_int(wrong, 0, "800 packets with ids, on two addresses: all reach their slot");
    is_int(initials(&st, 300), 0xff, "Initials reach all");
    initial_packet(pkt);
    pkt[0] &= 0x7f;
    for (i = 0, wrong = 0; i < 14; ++i) {
        wrong += slot_of(&st, 0, pkt, (size_t)i) != 0;
    }
    is_int(wrong, 0, "short garbage goes to the first that accepts");

    drain(&st, 2);
    drain(&st, 0);
    is_int(quic_route_live(st.r), N - 2, "two drain");
    is_int(initials(&st, 300), 0xff & ~5u, "no Initial goes to them");
    is_int(misrouted(&st, 0, 1, 50) + misrouted(&st, 2, 1, 50), 0, "their connections do");
    is_int(slot_of(&st, 0, pkt, 3), 1, "garbage does not");
    ok(!quic_route_owner_is_gone(st.r, 2, 1), "a draining owner is no dead one");
    ok(quic_route_is_used(st.r, 2) && quic_route_is_used(st.r, 1), "its slot is used");

    release(&st, 2);
    for (i = 0, wrong = 0; i < 50; ++i) {
        int s = slot_of_id(&st, 0, 2, 1, 0);
        wrong += s < 0 || s == 0 || s == 2;
    }
    is_int(wrong, 0, "packets of a dead owner go to one that lives");
    ok(quic_route_owner_is_gone(st.r, 2, 1), "which may reset them");
    ok(!quic_route_is_used(st.r, 2), "its slot is not used");
    is_int(claim(&st, getpid(), 1, &epoch[2]), 2, "the slot is taken again");
    is_int(epoch[2], 2, "with another epoch");
    ok(quic_route_owner_is_gone(st.r, 2, 1), "the old one stays gone");
    ok(!quic_route_owner_is_gone(st.r, 2, 2), "the new one is there");
    is_int(slot_of_id(&st, 1, 2, 1, 0), 2, "and gets the packets of the old");
    ok(!quic_route_owner_is_gone(st.r, N, 0), "of a slot that we do not have, nothing is known");
    clear_stage(&st);
}

static void test_generations(void)
{
    stage st;
    uint8_t e;

    set_stage(&st, 6, 1);
    claim(&st, getpid(), 1, &e);
    claim(&st, getpid(), 1, &e);
    is_int(initials(&st, 100), 3, "two children of the first generation");
    is_int(claim(&st, getpid(), 2, &e), 2, "one of the second");
    is_int(initials(&st, 100), 4, "gets all Initials");
    is_int(misrouted(&st, 0, 1, 20) + misrouted(&st, 1, 1, 20), 0, "connections stay");
    is_int(claim(&st, getpid(), 2, &e), 3, "a second of the second");
    is_int(claim(&st, getpid(), 1, &e), 4, "a late one of the first");
    is_int(initials(&st, 100), 12, "the second generation gets all Initials");
    release(&st, 2);
    release(&st, 3);
    is_int(initials(&st, 100), 0x13, "it is gone: the first one, not draining, goes on");
    clear_stage(&st);
}

/* No LIVE slot for a moment: what comes waits for the child that comes. */
static void test_gap(void)
{
    stage st;
    uint8_t e, pkt[64];
    int i, got = 0;

    set_stage(&st, 6, 1);
    claim(&st, getpid(), 1, &e);
    claim(&st, getpid(), 1, &e);
    drain(&st, 0);
    drain(&st, 1);
    is_int(misrouted(&st, 1, 1, 20), 0, "draining connections go on");
    for (i = 0; i < 5; ++i) {
        send(st.client[0], pkt, initial_packet(pkt), 0);
    }
    release(&st, 0);
    for (i = 0; i < 5; ++i) {
        send(st.client[0], pkt, initial_packet(pkt), 0);
    }
    is_int(claim(&st, getpid(), 2, &e), 2, "the next child gets the slot that was promised");
    while (arrived(st.l[0], 2, 1)) {
        ++got;
    }
    is_int(got, 10, "and finds the Initials in its socket");
    is_int(claim(&st, getpid(), 2, &e), 0, "the one after it the lowest");
    is_int(initials(&st, 100), 5, "both accept");

    /* The last LIVE owner dies: what came before that was noticed waits in its own socket. */
    release(&st, 0);
    for (i = 0, got = 0; i < 5; ++i) {
        send(st.client[0], pkt, initial_packet(pkt), 0);
    }
    release(&st, 2);
    for (i = 0; i < 5; ++i) {
        send(st.client[0], pkt, initial_packet(pkt), 0);
    }
    is_int(claim(&st, getpid(), 3, &e), 2, "its slot is the next to be taken");
    while (arrived(st.l[0], 2, 1)) {
        ++got;
    }
    is_int(got, 10, "with all Initials");

    /* All slots in use, none LIVE. */
    while (claim(&st, getpid(), 3, &e) >= 0) {}
    for (i = 0; i < 6; ++i) {
        drain(&st, i);
    }
    is_int(initials(&st, 10), 1, "all draining: one of them gets the Initials");
    is_int(claim(&st, getpid(), 4, &e), -1, "no slot for a new child");
    release(&st, 4);
    is_int(initials(&st, 10), 1u << 4, "the first one that is free is promised");
    is_int(claim(&st, getpid(), 4, &e), 4, "and taken");
    clear_stage(&st);
}

static void test_epochs(void)
{
    quic_route *r = quic_route_create(1);
    quic_group group = { r, secret, NULL, 0 };
    int i, slot, right = 0, wrong = 0;
    uint8_t epoch, last = 0;

    for (i = 0; i < 600; ++i) {
        quic_route_claim(&slot, &epoch, &group, getpid(), 1);
        right += slot == 0 && epoch == (uint8_t)(last + 1);
        wrong += quic_route_owner_is_gone(r, 0, epoch);
        wrong += !quic_route_owner_is_gone(r, 0, last);
        last = epoch;
        quic_route_drain(&group, slot);
        wrong += quic_route_owner_is_gone(r, 0, epoch);
        quic_route_release(&group, slot);
        wrong += !quic_route_owner_is_gone(r, 0, epoch);
    }
    is_int(right, 600, "each claim raises the epoch, around 255 too");
    is_int(wrong, 0, "an owner is gone only when it is");
    quic_route_release(&group, 0);
    quic_route_drain(&group, 0);
    is_int(quic_route_live(r), 0, "releasing and draining a free slot changes nothing");
    ok(quic_route_create(0) == NULL && quic_route_create(QUIC_SLOTS_MAX + 1) == NULL,
       "0 slots and too many are refused");
}

static void test_most_slots(void)
{
    stage st;
    uint8_t e;
    int i, wrong = 0;

    set_stage(&st, QUIC_SLOTS_MAX, 1);
    for (i = 0; i < QUIC_SLOTS_MAX; ++i) {
        wrong += claim(&st, getpid(), 1, &e) != i;
    }
    ok(quic_route_is_steered(st.r) && !st.r->stale, "the kernel takes the largest program");
    for (i = 0; i < QUIC_SLOTS_MAX; i += 3) {
        wrong += misrouted(&st, i, 1, 2);
    }
    is_int(wrong, 0, "%d slots, each gets its packets", QUIC_SLOTS_MAX);
    clear_stage(&st);
}

/* Processes */

/* Forks an owner that claims, says its slot and waits to be killed. */
static pid_t start_owner(stage *st, int generation, int *slot)
{
    int fd[2];
    pid_t pid;

    if (pipe(fd) != 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        uint8_t epoch;
        int s;

        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(1);
        }
        s = claim(st, getpid(), generation, &epoch);
        if (write(fd[1], &s, sizeof(s)) == sizeof(s)) {
            pause();
        }
        _exit(0);
    }
    close(fd[1]);
    *slot = -3;
    if (read(fd[0], slot, sizeof(*slot)) != sizeof(*slot)) {
        *slot = -4;
    }
    close(fd[0]);
    return pid;
}

static void kill_and_wait(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_killed_owner(void)
{
    stage st;
    pid_t pid[3];
    int slot[3], before;
    uint8_t e;
    siginfo_t info;

    set_stage(&st, 4, 2);
    pid[0] = start_owner(&st, 1, &slot[0]);
    pid[1] = start_owner(&st, 1, &slot[1]);
    is_int(claim(&st, getpid(), 1, &e), 2, "three owners, two of them unprivileged processes");
    is_int(initials(&st, 100), 7, "whose attach counts");
    before = attaches;
    is_int(reap(&st), 0, "all live");
    is_int(attaches, before, "so nothing is attached");

    kill_and_wait(pid[0]);
    ok(!quic_route_owner_is_gone(st.r, 0, 1), "nobody has noticed the death yet");
    is_int(reap(&st), 1, "a sibling notices it");
    ok(quic_route_owner_is_gone(st.r, 0, 1), "the owner is gone");
    is_int(initials(&st, 100), 6, "no Initial goes to it any more");
    is_int(reap(&st), 0, "once");

    kill(pid[1], SIGKILL);
    waitid(P_PID, (id_t)pid[1], &info, WEXITED | WNOWAIT);
    is_int(reap(&st), 1, "dead, but not waited for by its parent");
    waitpid(pid[1], NULL, 0);
    is_int(initials(&st, 50), 4, "one is left");

    pid[2] = start_owner(&st, 1, &slot[2]);
    is_int(slot[2], 0, "a new owner");
    kill_and_wait(pid[2]);
    quic_route_release_pid(&st.group, pid[2]);
    ok(quic_route_owner_is_gone(st.r, 0, 2), "the parent frees the slot of a child that it reaped");
    is_int(initials(&st, 50), 4, "and steers");
    before = attaches;
    quic_route_release_pid(&st.group, pid[2]);
    is_int(attaches, before + 2, "it attaches also where a sibling was faster");
    is_int(quic_route_live(st.r), 1, "and frees nothing else");

    /* The number of a dead process given to another one. */
    st.r->slot[2].start += 1;
    is_int(reap(&st), 1, "same pid, another start time: another process");
    is_int(quic_route_live(st.r), 0, "nobody is left");
    is_int(claim(&st, getpid(), 1, &e), 2, "its slot is the next");
    st.r->slot[2].start = 0;
    is_int(reap(&st), 0, "start time not known: not taken for dead");
    clear_stage(&st);
}

static void test_killed_with_lock(void)
{
    stage st;
    uint8_t e;
    pid_t pid;

    set_stage(&st, 4, 1);
    claim(&st, getpid(), 1, &e);
    pid = fork();
    if (pid == 0) {
        /* Killed in the middle of a claim: the slot is taken, nothing attached. */
        route_lock(st.r);
        st.r->slot[1].pid = getpid();
        st.r->slot[1].generation = 2;
        set_life(st.r, 1, QUIC_SLOT_LIVE, 1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    alarm(20); /* instead of waiting for ever */
    is_int(reap(&st), 1, "killed with the lock: the lock is free, the slot too");
    is_int(claim(&st, getpid(), 1, &e), 1, "it can be taken");
    is_int(e, 2, "with a raised epoch");
    is_int(initials(&st, 60), 3, "and is steered to");

    pid = fork();
    if (pid == 0) {
        /* Killed after a release, before the attach. */
        route_lock(st.r);
        free_slot(st.r, 1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    is_int(initials(&st, 60), 3, "the attached program is stale");
    is_int(reap(&st), 0, "no owner has died");
    is_int(initials(&st, 60), 1, "but the program is right again");

    pid = fork();
    if (pid == 0) {
        route_lock(st.r);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    is_int(claim(&st, getpid(), 1, &e), 1, "a claim after a death with the lock");
    is_int(pthread_mutex_lock(&st.r->lock), 0, "the lock is as good as new");
    pthread_mutex_unlock(&st.r->lock);
    alarm(0);
    clear_stage(&st);
}

/* Many processes claim and die at once: no slot ever has two owners. */
static void test_many_processes(void)
{
    enum { PROCS = 12, ROUNDS = 30 };
    stage st;
    int i, status, bad = 0;
    pid_t pid[PROCS];
    int *owners = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    set_stage(&st, 8, 1);
    alarm(60);
    for (i = 0; i < PROCS; ++i) {
        pid[i] = fork();
        if (pid[i] == 0) {
            int round, twice = 0, s;
            uint8_t e;

            for (round = 0; round < ROUNDS; ++round) {
                reap(&st);
                s = claim(&st, getpid(), 1, &e);
                if (s < 0) {
                    usleep(500);
                    continue;
                }
                twice += __atomic_add_fetch(&owners[s], 1, __ATOMIC_SEQ_CST) != 1;
                usleep(200);
                if (round % 2) {
                    drain(&st, s);
                }
                __atomic_sub_fetch(&owners[s], 1, __ATOMIC_SEQ_CST);
                release(&st, s);
            }
            _exit(twice != 0);
        }
    }
    for (i = 0; i < PROCS; ++i) {
        waitpid(pid[i], &status, 0);
        bad += status != 0;
    }
    alarm(0);
    is_int(bad, 0, "%d processes, %d rounds: no slot had two owners", PROCS, ROUNDS);
    is_int(quic_route_live(st.r), 0, "all released");
    munmap(owners, 4096);
    clear_stage(&st);
}

static void test_refused(void)
{
    stage st;
    uint8_t e, pkt[64];
    int i, wrong = 0;

    refuse_attach = EPERM;
    set_stage(&st, 4, 2);
    ok(!quic_route_is_steered(st.r), "the kernel refuses the program");
    ok(st.l[0]->nslots == 1 && st.l[1]->nslots == 1, "one socket stays on each address");
    is_int(claim(&st, getpid(), 1, &e), 0, "one child may claim");
    is_int(claim(&st, getpid(), 1, &e), -1, "no second one");
    for (i = 0; i < 40; ++i) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        quic_listener *l = st.l[i % 2];
        sendto(fd, pkt, initial_packet(pkt), 0, &l->addr.sa, sizeof(l->addr.in));
        wrong += !arrived(l, 0, 1);
        close(fd);
    }
    is_int(wrong, 0, "it gets everything, from whatever port");
    drain(&st, 0);
    is_int(claim(&st, getpid(), 2, &e), -1, "nor while it drains");
    release(&st, 0);
    is_int(claim(&st, getpid(), 2, &e), 0, "after it the next");
    is_int(e, 2, "with its own epoch");
    is_int(reap(&st), 0, "reaping works");
    refuse_attach = 0;
    clear_stage(&st);

    /* Refused later, as without memory: the old program is in force until an attach succeeds. */
    set_stage(&st, 4, 1);
    claim(&st, getpid(), 1, &e);
    refuse_attach = ENOMEM;
    is_int(claim(&st, getpid(), 1, &e), 1, "a claim whose attach fails");
    quic_route_attach(&st.group);
    ok(quic_route_is_steered(st.r) && st.l[0]->nslots == 4, "the group stays a group");
    is_int(initials(&st, 60), 1, "the new child gets nothing yet");
    refuse_attach = 0;
    is_int(reap(&st), 0, "the next look after the dead");
    is_int(initials(&st, 60), 3, "attaches again");
    clear_stage(&st);

    refuse_attach = EPERM;
    set_stage(&st, 1, 1);
    ok(quic_route_is_steered(st.r), "one slot needs no program");
    is_int(claim(&st, getpid(), 1, &e), 0, "one child may claim it");
    refuse_attach = 0;
    clear_stage(&st);
}

/* A listener whose port is taken when the parent starts, and free when children run. */
static void test_bound_later(void)
{
    quic_addr a;
    const char *what;
    uint8_t e;
    stage st;
    quic_listener child;
    int i;

    memset(&a, 0, sizeof(a));
    a.in.sin_family = AF_INET;
    inet_pton(AF_INET, "127.0.0.1", &a.in.sin_addr);
    st.client[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (i = 0; i < 2; ++i) {
        refuse_attach = i ? EPERM : 0;
        st.r = quic_route_create(4);
        st.group = (quic_group){ st.r, secret, st.l, 1 };
        if (quic_listener_open(&st.l[0], &a, 443, 0, 4, 1 << 20, &what) != APR_SUCCESS) {
            fail("%s", what);
            return;
        }
        quic_route_attach(&st.group);
        is_int(quic_route_is_steered(st.r), !i, "what the kernel can is known before the bind");
        is_int(st.l[0]->nslots, i ? 1 : 4, "and one socket stays where it cannot");
        is_int(claim(&st, getpid(), 1, &e), 0, "a child claims before it is bound");
        is_int(claim(&st, getpid(), 1, &e), i ? -1 : 1, "another one");
        child = *st.l[0];
        is_int(quic_listener_bind(st.l[0], &what), APR_SUCCESS, "the parent binds it");
        if (connect(st.client[0], &st.l[0]->addr.sa, quic_addr_len(&st.l[0]->addr)) != 0) {
            fail("connect: %s", strerror(errno));
        }
        quic_route_refresh(&st.group);
        is_int(quic_listener_look(&child), 1, "a child sees it");
        is_int(initials(&st, 60), i ? 1 : 3, "and those that have claimed get Initials");
        quic_route_destroy(st.r);
        quic_listener_close(st.l[0]);
    }
    refuse_attach = 0;
    close(st.client[0]);
}

static void test_process_stat(void)
{
    char state = 0;
    uint64_t start = 0, again = 1;

    ok(process_stat(getpid(), &state, &start) == 0 && start > 0, "start time of this process");
    ok(process_stat(getpid(), &state, &again) == 0 && start == again, "stays the same");
    is_int(state, 'R', "it runs");
    ok(process_stat(1, &state, &again) == 0 && again < start, "the first process is older");
    is_int(process_stat(0x7ffffff0, &state, &again), -1, "no such process");
}

int main(void)
{
    quic_cid_secret_make(&secret);
    test_program();
    test_steering();
    test_generations();
    test_gap();
    test_epochs();
    test_most_slots();
    test_process_stat();
    test_killed_owner();
    test_killed_with_lock();
    test_many_processes();
    test_refused();
    test_bound_later();
    return done_testing();
}
