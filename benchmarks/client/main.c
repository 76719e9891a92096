/* loadgen HOST DOMAIN WEBSOCKET_PATH ACCOUNTS_FILE SEED
 *
 * Reads commands from standard input, one a line, and prints one JSON object for each when it is
 * done (and progress objects meanwhile). ACCOUNTS_FILE holds `user password` lines. Besides the
 * kinds of load of work.c:
 *
 *   target wss|tls PORT [OTHER]    where the next connections go; every second account to OTHER
 *   mechanism NAME|auto    insist on a SASL mechanism
 *   resumption none|classic|inline|fast    how sessions come back from now on (see loadgen.h)
 *   calibrate CORE         CPU and wall time of a fixed piece of work there, to see noise
 *
 * The end of standard input ends the program. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

Global g;

static uint64_t random_state;
static char input[4096];
static size_t input_len;
static bool working;

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* xorshift64*: load needs repeatable numbers, not secret ones. */
uint32_t random_next(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(random_state * 2685821657736338717u >> 32);
}

void *must(void *pointer) {
    if (!pointer) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return pointer;
}

static void read_accounts(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    int cap = 0;
    Account account = {0};
    while (fscanf(file, "%63s %63s", account.user, account.password) == 2) {
        if (g.account_count == cap) {
            cap = cap ? 2 * cap : 256;
            g.accounts = must(realloc(g.accounts, (size_t)cap * sizeof *g.accounts));
        }
        g.accounts[g.account_count++] = account;
    }
    fclose(file);
    g.conns = must(calloc((size_t)g.account_count + 1, sizeof(Conn *)));
}

/* Certificates are not judged: the servers are ours, on this machine, and only their work counts. */
static void make_tls(void) {
    g.tls = must(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(g.tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_min_proto_version(g.tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(g.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(g.tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(g.tls, 1);
}

/* About a tenth of a second of hashing. More wall than CPU time: others ran on this core. More CPU
 * time than in another run: a slower or disturbed core. */
static void calibrate(int core) {
    static unsigned char block[1 << 16];
    unsigned char digest[32];
    cpu_set_t before, wanted;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&wanted);
    CPU_SET((size_t)core, &wanted);
    sched_setaffinity(0, sizeof wanted, &wanted);
    uint64_t wall = now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 2000; i++) {
        EVP_Digest(block, sizeof block, digest, NULL, EVP_sha256(), NULL);
        memcpy(block + (i % 2000) * 32, digest, sizeof digest);
    }
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = now_ns() - wall;
    sched_setaffinity(0, sizeof before, &before);
    printf("{\"work\": \"calibrate\", \"core\": %d, \"cpu_ms\": %.3f, \"wall_ms\": %.3f}\n", core, (double)cpu / 1e6,
           (double)wall / 1e6);
}

static void run_command(const char *line) {
    char word[32] = "";
    int number = 0, other = 0;
    if (sscanf(line, "target %31s %d %d", word, &number, &other) >= 2) {
        g.transport = strcmp(word, "wss") == 0 ? TRANSPORT_WSS : TRANSPORT_TLS;
        g.port = number;
        g.other_port = other ? other : number;
        puts("{\"work\": \"target\"}");
    } else if (sscanf(line, "mechanism %31s", word) == 1) {
        g.mechanism = strcmp(word, "auto") == 0 ? NULL : must(strdup(word));
        puts("{\"work\": \"mechanism\"}");
    } else if (sscanf(line, "resumption %31s", word) == 1) {
        g.resumption = strcmp(word, "fast") == 0      ? RESUMPTION_FAST
                       : strcmp(word, "inline") == 0  ? RESUMPTION_INLINE
                       : strcmp(word, "classic") == 0 ? RESUMPTION_CLASSIC
                                                      : RESUMPTION_NONE;
        puts("{\"work\": \"resumption\"}");
    } else if (sscanf(line, "calibrate %d", &number) == 1) {
        calibrate(number);
    } else {
        work_begin(line);
        working = true;
    }
    fflush(stdout);
}

static void read_input(void) {
    ssize_t got = read(0, input + input_len, sizeof input - input_len - 1);
    if (got <= 0) exit(0);
    input_len += (size_t)got;
}

static bool run_next_line(void) {
    char *end = memchr(input, '\n', input_len);
    if (working || !end) return false;
    *end = 0;
    char line[sizeof input];
    strcpy(line, input);
    size_t used = (size_t)(end - input) + 1;
    input_len -= used;
    memmove(input, input + used, input_len);
    run_command(line);
    return true;
}

static void turn(void) {
    static struct epoll_event events[256];
    while (run_next_line()) {
    }
    int64_t wait = work_on_time();
    struct timespec timeout = {wait / 1000000000, wait % 1000000000};
    int ready = epoll_pwait2(g.epoll, events, 256, wait < 0 ? NULL : &timeout, NULL);
    if (ready < 0 && errno != EINTR) {
        perror("epoll_pwait2");
        exit(2);
    }
    for (int i = 0; i < ready; i++) {
        if (events[i].data.ptr)
            conn_on_event(events[i].data.ptr, events[i].events);
        else
            read_input();
    }
    conn_free_dead();
    if (working && work_is_done()) {
        conn_free_dead();
        work_print_result();
        working = false;
    }
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: %s HOST DOMAIN WEBSOCKET_PATH ACCOUNTS_FILE SEED\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    snprintf(g.host, sizeof g.host, "%s", argv[1]);
    snprintf(g.domain, sizeof g.domain, "%s", argv[2]);
    snprintf(g.path, sizeof g.path, "%s", argv[3]);
    read_accounts(argv[4]);
    random_state = strtoull(argv[5], NULL, 10) * 2654435761u + 1;
    make_tls();
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, 0, &event) < 0) {
        perror("standard input cannot be waited for");
        return 2;
    }
    for (;;) turn();
}
