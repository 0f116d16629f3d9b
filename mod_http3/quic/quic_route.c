/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_route.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/filter.h>
#include <sys/mman.h>

/*
 * `life` is read without the lock. State and epoch are in one word, so that no reader sees the
 * state of one owner with the epoch of another. The other members are written before it, and count
 * only while it is not FREE.
 */
typedef struct {
    uint32_t life; /* quic_slot_state << 8 | epoch */
    pid_t pid;
    uint64_t start; /* of the process, clock ticks since boot; 0 unknown */
    int generation;
} route_slot;

#define LIFE(state, epoch) ((uint32_t)(state) << 8 | (epoch))

/*
 * A holder of the lock may be killed at any instruction. Then there is nothing to repair: each slot
 * changes by one store of its `life`, and `stale`, which is set before a change and cleared after
 * the attach, tells the next holder that an attach is missing.
 */
struct quic_route {
    pthread_mutex_t lock;
    int nslots;
    int waiting;   /* the FREE slot that gets Initials while none is LIVE, or -1 */
    int unsteered; /* the kernel has refused the program */
    int stale;     /* the attached program is older than the slots */
    route_slot slot[];
};

/* Where a packet has its destination connection ID, in every version. RFC 8999 section 5 */
#define LONG_HEADER 0x80
#define LONG_DCID_LENGTH_AT 5
#define LONG_DCID_AT 6
#define SHORT_DCID_AT 1
#define ID_BYTES 8 /* that the program looks at */

#define PROGRAM_MAX (64 + 4 * QUIC_SLOTS_MAX) /* instructions */

/* The program's scratch memory. */
enum { MEM_OFFSET, MEM_WORD };

static int make_lock(pthread_mutex_t *lock);
static void route_lock(quic_route *r);
static void route_unlock(quic_route *r);
static uint32_t load_life(const quic_route *r, int slot);
static quic_slot_state slot_state(const quic_route *r, int slot);
static void set_life(quic_route *r, int slot, quic_slot_state state, uint8_t epoch);
static void free_slot(quic_route *r, int slot);
static int lowest(const quic_route *r, quic_slot_state state);
static int next_slot(const quic_route *r);
static void choose_waiting(quic_route *r);
static int accepting_slots(const quic_route *r, uint8_t *accepting);
static int known_slots(const quic_route *r, uint8_t *known);
static void update_program(const quic_group *group);
static int kernel_steers(int family);
static int owner_is_dead(const quic_route *r, int slot);
static int process_stat(pid_t pid, char *state, uint64_t *start);
static int write_program(struct sock_filter *prog, const quic_cid_secret *secret,
                         const uint8_t *accepting, int naccepting, const uint8_t *known,
                         int nknown);
static struct sock_filter *put_known(struct sock_filter *p, const quic_cid_secret *secret,
                                     const uint8_t *known, int nknown);
static struct sock_filter *put_hash(struct sock_filter *p, const quic_cid_secret *secret,
                                    const uint8_t *accepting, int naccepting);
static struct sock_filter *put_case(struct sock_filter *p, int value, uint8_t slot);

quic_route *quic_route_create(int nslots)
{
    size_t size = sizeof(quic_route) + (size_t)nslots * sizeof(route_slot);
    quic_route *r;
    int rv;

    if (nslots < 1 || nslots > QUIC_SLOTS_MAX) {
        errno = EINVAL;
        return NULL;
    }
    r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED) {
        return NULL;
    }
    rv = make_lock(&r->lock);
    if (rv != 0) {
        munmap(r, size);
        errno = rv;
        return NULL;
    }
    r->nslots = nslots;
    r->waiting = -1;
    return r;
}

/* Returns an errno. */
static int make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    int rv = pthread_mutexattr_init(&attr);

    if (rv != 0) {
        return rv;
    }
    rv = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (rv == 0) {
        rv = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }
    if (rv == 0) {
        rv = pthread_mutex_init(lock, &attr);
    }
    pthread_mutexattr_destroy(&attr);
    return rv;
}

void quic_route_destroy(quic_route *r)
{
    munmap(r, sizeof(*r) + (size_t)r->nslots * sizeof(route_slot));
}

int quic_route_nslots(const quic_route *r)
{
    return r->nslots;
}

void quic_route_attach(const quic_group *group)
{
    quic_route *r = group->route;
    int i;

    route_lock(r);
    update_program(group);
    for (i = 0; i < group->n; ++i) {
        quic_listener *l = group->listeners[i];

        /* Without a program the kernel would spread datagrams over sockets that nobody reads. */
        if (l->nslots > 1 && !l->steered
            && (quic_listener_is_bound(l) || !kernel_steers(l->addr.sa.sa_family))) {
            __atomic_store_n(&r->unsteered, 1, __ATOMIC_SEQ_CST);
            quic_listener_unshare(l);
        }
    }
    route_unlock(r);
}

/* Tried on a socket of its own: the kernel takes a program also for a group that is still to be. */
static int kernel_steers(int family)
{
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog prog;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, steers;

    memset(&prog, 0, sizeof(prog)); /* the padding goes to the kernel too */
    prog.len = 1;
    prog.filter = &code;
    steers = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0
             && setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return steers;
}

void quic_route_refresh(const quic_group *group)
{
    quic_route *r = group->route;

    route_lock(r);
    update_program(group);
    route_unlock(r);
}

apr_status_t quic_route_claim(int *slot, uint8_t *epoch, const quic_group *group, pid_t pid,
                              int generation)
{
    quic_route *r = group->route;
    uint64_t start = 0;
    char state;
    int s;

    (void)process_stat(pid, &state, &start);

    route_lock(r);
    s = next_slot(r);
    if (s < 0) {
        route_unlock(r);
        return APR_EAGAIN;
    }
    *slot = s;
    *epoch = (uint8_t)(load_life(r, s) + 1);
    __atomic_store_n(&r->slot[s].pid, pid, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->slot[s].start, start, __ATOMIC_SEQ_CST);
    r->slot[s].generation = generation;
    set_life(r, s, QUIC_SLOT_LIVE, *epoch);
    update_program(group);
    route_unlock(r);
    return APR_SUCCESS;
}

void quic_route_drain(const quic_group *group, int slot)
{
    quic_route *r = group->route;

    route_lock(r);
    if (slot_state(r, slot) == QUIC_SLOT_LIVE) {
        set_life(r, slot, QUIC_SLOT_DRAINING, (uint8_t)load_life(r, slot));
        update_program(group);
    }
    route_unlock(r);
}

void quic_route_release(const quic_group *group, int slot)
{
    quic_route *r = group->route;

    route_lock(r);
    free_slot(r, slot);
    update_program(group);
    route_unlock(r);
}

/*
 * Attaches also where a sibling was faster: only the parent knows all listeners, a child of an
 * older generation does not know those that have been opened since.
 */
void quic_route_release_pid(const quic_group *group, pid_t pid)
{
    quic_route *r = group->route;
    int s;

    route_lock(r);
    for (s = 0; s < r->nslots; ++s) {
        if (r->slot[s].pid == pid) {
            free_slot(r, s);
        }
    }
    update_program(group);
    route_unlock(r);
}

int quic_route_reap(const quic_group *group)
{
    quic_route *r = group->route;
    int s, freed = 0, suspects = 0;

    /* Without the lock for the usual case, in which all owners live. */
    for (s = 0; s < r->nslots; ++s) {
        suspects += owner_is_dead(r, s);
    }
    if (suspects == 0 && !__atomic_load_n(&r->stale, __ATOMIC_SEQ_CST)) {
        return 0;
    }

    route_lock(r);
    for (s = 0; s < r->nslots; ++s) {
        if (owner_is_dead(r, s)) {
            free_slot(r, s);
            ++freed;
        }
    }
    if (freed > 0 || r->stale) {
        update_program(group);
    }
    route_unlock(r);
    return freed;
}

int quic_route_is_steered(const quic_route *r)
{
    return !__atomic_load_n(&r->unsteered, __ATOMIC_SEQ_CST);
}

int quic_route_owner_is_gone(const quic_route *r, uint8_t slot, uint8_t epoch)
{
    uint32_t life;

    if (slot >= r->nslots) {
        return 0; /* not of this server, so nothing is known about its owner */
    }
    life = load_life(r, slot);
    return life >> 8 == QUIC_SLOT_FREE || (uint8_t)life != epoch;
}

int quic_route_is_used(const quic_route *r, int slot)
{
    return slot_state(r, slot) != QUIC_SLOT_FREE;
}

int quic_route_live(const quic_route *r)
{
    int s, live = 0;

    for (s = 0; s < r->nslots; ++s) {
        live += slot_state(r, s) == QUIC_SLOT_LIVE;
    }
    return live;
}

static void route_lock(quic_route *r)
{
    if (pthread_mutex_lock(&r->lock) == EOWNERDEAD) {
        pthread_mutex_consistent(&r->lock);
    }
}

static void route_unlock(quic_route *r)
{
    pthread_mutex_unlock(&r->lock);
}

static uint32_t load_life(const quic_route *r, int slot)
{
    return __atomic_load_n(&r->slot[slot].life, __ATOMIC_SEQ_CST);
}

static quic_slot_state slot_state(const quic_route *r, int slot)
{
    return (quic_slot_state)(load_life(r, slot) >> 8);
}

/* The one place where a slot changes. */
static void set_life(quic_route *r, int slot, quic_slot_state state, uint8_t epoch)
{
    __atomic_store_n(&r->stale, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->slot[slot].life, LIFE(state, epoch), __ATOMIC_SEQ_CST);
}

/*
 * Initials that have come since a LIVE owner died are in its sockets: if nobody else is LIVE, the
 * next child finds them by taking that slot.
 */
static void free_slot(quic_route *r, int slot)
{
    quic_slot_state was = slot_state(r, slot);

    if (was == QUIC_SLOT_FREE) {
        return;
    }
    set_life(r, slot, QUIC_SLOT_FREE, (uint8_t)load_life(r, slot));
    if (was == QUIC_SLOT_LIVE && r->waiting < 0) {
        r->waiting = slot;
    }
}

static int lowest(const quic_route *r, quic_slot_state state)
{
    int s;

    for (s = 0; s < r->nslots; ++s) {
        if (slot_state(r, s) == state) {
            return s;
        }
    }
    return -1;
}

static int next_slot(const quic_route *r)
{
    if (!quic_route_is_steered(r)) {
        /* The group has this one socket. */
        return slot_state(r, 0) == QUIC_SLOT_FREE ? 0 : -1;
    }
    if (r->waiting >= 0 && slot_state(r, r->waiting) == QUIC_SLOT_FREE) {
        return r->waiting;
    }
    return lowest(r, QUIC_SLOT_FREE);
}

static void choose_waiting(quic_route *r)
{
    r->waiting = quic_route_live(r) > 0 ? -1 : next_slot(r);
}

/*
 * Writes the slots that get new Initials, at least one, and returns their number: LIVE ones of the
 * newest generation or, if there is none, the one that the next child will claim.
 */
static int accepting_slots(const quic_route *r, uint8_t *accepting)
{
    int s, n = 0, newest = 0;

    for (s = 0; s < r->nslots; ++s) {
        if (slot_state(r, s) != QUIC_SLOT_LIVE || (n > 0 && r->slot[s].generation < newest)) {
            continue;
        }
        if (n > 0 && r->slot[s].generation > newest) {
            n = 0;
        }
        newest = r->slot[s].generation;
        accepting[n++] = (uint8_t)s;
    }
    if (n == 0) {
        /* All slots are DRAINING: some child has to answer that nobody accepts. */
        accepting[n++] = (uint8_t)(r->waiting >= 0 ? r->waiting : 0);
    }
    return n;
}

/* Writes the slots whose IDs are steered to them: LIVE and DRAINING ones. */
static int known_slots(const quic_route *r, uint8_t *known)
{
    int s, n = 0;

    for (s = 0; s < r->nslots; ++s) {
        if (slot_state(r, s) != QUIC_SLOT_FREE) {
            known[n++] = (uint8_t)s;
        }
    }
    return n;
}

/* With the lock held. What cannot be attached now stays stale, for the next reap to try again. */
static void update_program(const quic_group *group)
{
    quic_route *r = group->route;
    uint8_t accepting[QUIC_SLOTS_MAX], known[QUIC_SLOTS_MAX];
    struct sock_filter code[PROGRAM_MAX];
    struct sock_fprog prog = { .filter = code };
    int i, failed = 0, naccepting;

    choose_waiting(r);
    naccepting = accepting_slots(r, accepting);
    prog.len = (unsigned short)write_program(code, &group->secret, accepting, naccepting, known,
                                             known_slots(r, known));
    for (i = 0; i < group->n; ++i) {
        quic_listener *l = group->listeners[i];

        /* One socket is no group, and an unbound one is in none. */
        if (l->nslots == 1 || !quic_listener_is_bound(l)) {
            continue;
        }
        if (setsockopt(l->fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) == 0) {
            l->steered = 1;
        }
        else {
            failed = 1;
        }
    }
    __atomic_store_n(&r->stale, failed, __ATOMIC_SEQ_CST);
}

static int owner_is_dead(const quic_route *r, int slot)
{
    pid_t pid = __atomic_load_n(&r->slot[slot].pid, __ATOMIC_SEQ_CST);
    uint64_t start = __atomic_load_n(&r->slot[slot].start, __ATOMIC_SEQ_CST), now;
    char state;

    if (slot_state(r, slot) == QUIC_SLOT_FREE) {
        return 0;
    }
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return 1;
    }
    /* Where /proc cannot be read (hidepid, chroot) the parent's release_pid has to do. */
    if (process_stat(pid, &state, &now) != 0) {
        return 0;
    }
    return state == 'Z' || state == 'X' || (start != 0 && now != start);
}

/* proc(5): "PID (COMM) STATE" and, as the 22nd field, the start time. 0 or -1 */
static int process_stat(pid_t pid, char *state, uint64_t *start)
{
    char path[32], line[1024], *p;
    FILE *f;
    size_t n;
    int field;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    f = fopen(path, "re");
    if (!f) {
        return -1;
    }
    n = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[n] = '\0';
    p = strrchr(line, ')'); /* COMM may hold anything, parentheses too */
    if (!p || p[1] != ' ') {
        return -1;
    }
    *state = p[2];
    for (field = 2; p && field < 22; ++field) {
        p = strchr(p + 1, ' ');
    }
    if (!p) {
        return -1;
    }
    *start = strtoull(p + 1, NULL, 10);
    return 0;
}

/*
 * Writes the program for these states into prog[], at most PROGRAM_MAX instructions, and returns
 * their number.
 *
 * Classic BPF on the UDP payload (offset 0); what it returns is the number of the socket in the
 * group. A load past the end would return 0, so the length is looked at first: nobody is to fill
 * the buffer of slot 0 while that is FREE. X holds the offset of the ID, except while the mask is
 * computed.
 */
static int write_program(struct sock_filter *prog, const quic_cid_secret *secret,
                         const uint8_t *accepting, int naccepting, const uint8_t *known, int nknown)
{
    const struct sock_filter find_id[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, LONG_DCID_AT + ID_BYTES, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, accepting[0]),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER, 2, 0),
        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, SHORT_DCID_AT),
        BPF_STMT(BPF_JMP | BPF_JA, 4),
        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, LONG_DCID_AT),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LONG_DCID_LENGTH_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, QUIC_CID_LEN, 1, 0),
        BPF_STMT(BPF_JMP | BPF_JA, 0), /* to the hash */
    };
    const size_t to_hash = sizeof(find_id) / sizeof(*find_id) - 1;
    struct sock_filter *p = prog;

    memcpy(p, find_id, sizeof(find_id));
    p = put_known(p + to_hash + 1, secret, known, nknown);
    prog[to_hash].k = (uint32_t)(p - prog - to_hash - 1);
    p = put_hash(p, secret, accepting, naccepting);
    return (int)(p - prog);
}

/* An ID with our mark and a known slot ends here; all else falls through to the hash. */
static struct sock_filter *put_known(struct sock_filter *p, const quic_cid_secret *secret,
                                     const uint8_t *known, int nknown)
{
    const struct sock_filter unmask[] = {
        BPF_STMT(BPF_STX, MEM_OFFSET),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 4),
        /* quic_cid_mask() */
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret->mask_mul),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, secret->mask_add),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 15),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret->mask_mul),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 13),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        /* the word */
        BPF_STMT(BPF_ST, MEM_WORD),
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, MEM_OFFSET),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, MEM_WORD),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ST, MEM_WORD),
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, MEM_OFFSET),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, QUIC_CID_MARK, 1, 0),
        BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(3 + 2 * nknown)),
        BPF_STMT(BPF_LD | BPF_W | BPF_MEM, MEM_WORD),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 8),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
    };
    int i;

    memcpy(p, unmask, sizeof(unmask));
    p += sizeof(unmask) / sizeof(*unmask);
    for (i = 0; i < nknown; ++i) {
        p = put_case(p, known[i], known[i]);
    }
    return p;
}

/* Keyed, so that nobody can aim all new connections at one child without trying. */
static struct sock_filter *put_hash(struct sock_filter *p, const quic_cid_secret *secret,
                                    const uint8_t *accepting, int naccepting)
{
    const struct sock_filter hash[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret->mask_mul),
        BPF_STMT(BPF_ST, MEM_WORD),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 4),
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, MEM_WORD),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret->mask_mul),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)naccepting),
    };
    int i;

    memcpy(p, hash, sizeof(hash));
    p += sizeof(hash) / sizeof(*hash);
    for (i = 0; i < naccepting - 1; ++i) {
        p = put_case(p, i, accepting[i]);
    }
    *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, accepting[naccepting - 1]);
    return p;
}

/* if A is `value`, return `slot` */
static struct sock_filter *put_case(struct sock_filter *p, int value, uint8_t slot)
{
    *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)value, 0, 1);
    *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, slot);
    return p;
}
