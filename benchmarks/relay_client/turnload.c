/* Load for a TURN relay (RFC 8656) on loopback: channel data over UDP, sent, echoed and counted.
 *
 * turnload IP PORT USER PASSWORD MODE FLOWS SIZE RATE SECONDS
 *   MODE echo: each flow speaks with a peer that sends everything back: two relayed packets a round.
 *        pair: flows speak with each other through two relays of the same server: two relayed packets a delivery.
 *        alloc: FLOWS allocations, each with its challenge, and their end; nothing is sent.
 *   RATE: relayed packets a second; 0 = as fast as they come back. alloc: so many clients ask at one time.
 * Works for a while that does not count, prints "ready", waits for a line, works, prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COOKIE 0x2112A442u
#define BATCH 32
#define MOST 2048
#define TOGETHER 64
#define WINDOW 5 /* packets in flight for each flow of a flood */
#define BUCKETS 20000 /* of 10 microseconds */
#define WARM 3.5 /* seconds of the same load before it counts: a server may need some to know who is busy */

struct flow {
    int fd;
    struct sockaddr_in relay;
    uint64_t sent, received, last;
    char nonce[128]; /* each address gets another */
};

static const char *user, *password;
static struct sockaddr_in server, peer_address;
static struct flow *flows;
static int flow_count, size, peer_fd, epoll_fd, is_pair;
static unsigned histogram[BUCKETS + 1];
static uint64_t delivered, lost;
static char realm[128];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "turnload: %s\n", what);
    exit(1);
}

static int udp_socket(struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = 4 << 20;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(fd, (struct sockaddr *)&any, sizeof any)) fail("bind");
    if (to && connect(fd, (struct sockaddr *)to, sizeof *to)) fail("connect");
    return fd;
}

/* -- STUN ------------------------------------------------------------------------------------------ */

static int attribute(uint8_t *m, int at, int kind, const void *value, int length) {
    uint16_t head[2] = {htons((uint16_t)kind), htons((uint16_t)length)};
    memcpy(m + at, head, 4);
    memcpy(m + at + 4, value, (size_t)length);
    memset(m + at + 4 + length, 0, (size_t)(-length & 3));
    return at + 4 + ((length + 3) & ~3);
}

static void set_length(uint8_t *m, int end) {
    uint16_t length = htons((uint16_t)(end - 20));
    memcpy(m + 2, &length, 2);
}

static int begin(uint8_t *m, int type) {
    uint16_t kind = htons((uint16_t)type);
    uint32_t cookie = htonl(COOKIE);
    memcpy(m, &kind, 2);
    memcpy(m + 4, &cookie, 4);
    for (int i = 8; i < 20; i++) m[i] = (uint8_t)(rand() >> 7);
    return 20;
}

static int sign(struct flow *f, uint8_t *m, int at) {
    char text[768];
    uint8_t key[16], mac[20];
    unsigned n = 20;
    at = attribute(m, at, 0x0006, user, (int)strlen(user));
    at = attribute(m, at, 0x0014, realm, (int)strlen(realm));
    at = attribute(m, at, 0x0015, f->nonce, (int)strlen(f->nonce));
    snprintf(text, sizeof text, "%s:%s:%s", user, realm, password);
    EVP_Digest(text, strlen(text), key, NULL, EVP_md5(), NULL);
    set_length(m, at + 24);
    HMAC(EVP_sha1(), key, 16, m, (size_t)at, mac, &n);
    return attribute(m, at, 0x0008, mac, 20);
}

static uint8_t *find(uint8_t *m, int end, int kind, int *length) {
    for (int at = 20; at + 4 <= end;) {
        int k = m[at] << 8 | m[at + 1];
        *length = m[at + 2] << 8 | m[at + 3];
        if (k == kind) return m + at + 4;
        at += 4 + ((*length + 3) & ~3);
    }
    return NULL;
}

/* The answer's type, 0 when there is none in time; the answer is left in `m`, its length in `got`. */
static int answer(int fd, const uint8_t *request, uint8_t *m, int *got) {
    struct pollfd p = {fd, POLLIN, 0};
    while (poll(&p, 1, 1000) > 0) {
        *got = (int)recv(fd, m, MOST, 0);
        if (*got >= 20 && !memcmp(m + 8, request + 8, 12)) return m[0] << 8 | m[1];
    }
    return 0;
}

static int transact(int fd, uint8_t *m, int end, int *got) {
    uint8_t request[MOST];
    memcpy(request, m, (size_t)end);
    for (int again = 0; again < 5; again++) {
        if (send(fd, request, (size_t)end, 0) < 0) fail("send");
        int type = answer(fd, request, m, got);
        if (type) return type;
    }
    fail("no answer");
    return 0;
}

static void learn(struct flow *f, uint8_t *m, int got) {
    int length;
    uint8_t *value = find(m, got, 0x0014, &length);
    if (value) snprintf(realm, sizeof realm, "%.*s", length, value);
    value = find(m, got, 0x0015, &length);
    if (value) snprintf(f->nonce, sizeof f->nonce, "%.*s", length, value);
}

static const uint8_t udp[4] = {17, 0, 0, 0};

static int ask(uint8_t *m) {
    int at = attribute(m, begin(m, 0x0003), 0x0019, udp, 4);
    set_length(m, at);
    return at;
}

static void allocated(struct flow *f, int type, uint8_t *m, int got) {
    int length;
    if (type != 0x0103) {
        uint8_t *code = find(m, got, 0x0009, &length);
        fprintf(stderr, "error %d\n", code ? code[2] * 100 + code[3] : 0);
        fail("no allocation");
    }
    uint8_t *value = find(m, got, 0x0016, &length);
    if (!value || length != 8) fail("no relayed address");
    uint32_t ip;
    memcpy(&ip, value + 4, 4);
    f->relay.sin_family = AF_INET;
    f->relay.sin_port = htons((uint16_t)((value[2] << 8 | value[3]) ^ (COOKIE >> 16)));
    f->relay.sin_addr.s_addr = htonl(ntohl(ip) ^ COOKIE);
}

static void allocate(struct flow *f) {
    uint8_t m[MOST];
    int got;
    if (transact(f->fd, m, ask(m), &got) != 0x0113) fail("no challenge");
    learn(f, m, got);
    int type = transact(f->fd, m, sign(f, m, attribute(m, begin(m, 0x0003), 0x0019, udp, 4)), &got);
    allocated(f, type, m, got);
}

/* Several at one time: all challenges, then all allocations. */
static void allocate_together(struct flow *group, int count) {
    static uint8_t requests[TOGETHER][MOST];
    uint8_t m[MOST];
    int got;
    for (int i = 0; i < count; i++)
        if (send(group[i].fd, requests[i], (size_t)ask(requests[i]), 0) < 0) fail("send");
    for (int i = 0; i < count; i++) {
        if (answer(group[i].fd, requests[i], m, &got) != 0x0113) fail("no challenge");
        learn(&group[i], m, got);
    }
    for (int i = 0; i < count; i++) {
        int at = sign(&group[i], requests[i], attribute(requests[i], begin(requests[i], 0x0003), 0x0019, udp, 4));
        if (send(group[i].fd, requests[i], (size_t)at, 0) < 0) fail("send");
    }
    for (int i = 0; i < count; i++) {
        int type = answer(group[i].fd, requests[i], m, &got);
        allocated(&group[i], type, m, got);
    }
}

static void end_allocation(struct flow *f) {
    uint8_t m[MOST], zero[4] = {0};
    int got;
    int at = sign(f, m, attribute(m, begin(m, 0x0004), 0x000D, zero, 4));
    transact(f->fd, m, at, &got);
}

static void bind_channel(struct flow *f, struct sockaddr_in *to) {
    uint8_t m[MOST], number[4] = {0x40, 0, 0, 0}, address[8] = {0, 1};
    int got;
    uint16_t port = htons((uint16_t)(ntohs(to->sin_port) ^ (COOKIE >> 16)));
    uint32_t ip = htonl(ntohl(to->sin_addr.s_addr) ^ COOKIE);
    memcpy(address + 2, &port, 2);
    memcpy(address + 4, &ip, 4);
    int at = attribute(m, begin(m, 0x0009), 0x000C, number, 4);
    at = sign(f, m, attribute(m, at, 0x0012, address, 8));
    if (transact(f->fd, m, at, &got) != 0x0109) fail("no channel");
}

/* -- packets --------------------------------------------------------------------------------------- */

static void send_some(struct flow *f, int count, uint64_t now) {
    static uint8_t data[BATCH][MOST];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < count; i++) {
        data[i][0] = 0x40;
        data[i][1] = 0;
        data[i][2] = (uint8_t)(size >> 8);
        data[i][3] = (uint8_t)size;
        memcpy(data[i] + 4, &now, 8);
        parts[i] = (struct iovec){data[i], (size_t)size + 4};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int done = sendmmsg(f->fd, messages, (unsigned)count, MSG_DONTWAIT);
    if (done > 0) f->sent += (uint64_t)done;
}

static int receive_some(struct flow *f, uint64_t now) {
    static uint8_t data[BATCH][MOST];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], MOST};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(f->fd, messages, BATCH, MSG_DONTWAIT, NULL), good = 0;
    for (int i = 0; i < got; i++) {
        uint64_t at;
        if (messages[i].msg_len < (unsigned)size + 4 || data[i][0] != 0x40) continue;
        memcpy(&at, data[i] + 4, 8);
        uint64_t bucket = (now - at) / 10000;
        histogram[bucket < BUCKETS ? bucket : BUCKETS]++;
        good++;
    }
    f->received += (uint64_t)good;
    if (good) f->last = now;
    return good;
}

static void echo(void) {
    static uint8_t data[BATCH][MOST];
    static struct sockaddr_in from[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], MOST};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &from[i];
        messages[i].msg_hdr.msg_namelen = sizeof from[i];
    }
    int got = recvmmsg(peer_fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) parts[i].iov_len = messages[i].msg_len;
    for (int done = 0; done < got;) {
        int n = sendmmsg(peer_fd, messages + done, (unsigned)(got - done), 0);
        if (n <= 0) return;
        done += n;
    }
}

static void work(double rate, double seconds) {
    struct epoll_event events[256];
    uint64_t began = now_ns(), end = began + (uint64_t)(seconds * 1e9), due = 0, check = began;
    double rounds = rate / 2;
    int next = 0;
    if (rate == 0)
        for (int i = 0; i < flow_count; i++) flows[i].last = began, send_some(&flows[i], WINDOW, began);
    for (uint64_t now = began; now < end + 200000000u; now = now_ns()) {
        int is_over = now >= end;
        if (rate > 0 && !is_over) {
            uint64_t wanted = (uint64_t)((double)(now - began) * rounds / 1e9);
            for (; due < wanted; due++) {
                send_some(&flows[next], 1, now);
                next = (next + 1) % flow_count;
            }
        }
        int ready = epoll_wait(epoll_fd, events, 256, rate > 0 ? 1 : 20);
        now = now_ns();
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u32 == UINT32_MAX) {
                echo();
                continue;
            }
            struct flow *f = &flows[events[i].data.u32];
            int good = receive_some(f, now);
            delivered += (uint64_t)good;
            if (rate == 0 && good && !is_over) send_some(f, good, now);
        }
        if (rate == 0 && !is_over && now - check > 50000000u) {
            check = now; /* what was lost does not come back: begin again */
            for (int i = 0; i < flow_count; i++)
                if (now - flows[i].last > 200000000u) flows[i].last = now, send_some(&flows[i], WINDOW, now);
        }
    }
}

static double percentile(double part) {
    uint64_t total = 0, sum = 0;
    for (int i = 0; i <= BUCKETS; i++) total += histogram[i];
    for (int i = 0; i <= BUCKETS; i++)
        if ((sum += histogram[i]) >= (uint64_t)((double)total * part)) return i / 100.0;
    return 0;
}

int main(int argc, char **argv) {
    char line[16];
    if (argc != 10) fail("nine arguments");
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    user = argv[3];
    password = argv[4];
    is_pair = !strcmp(argv[5], "pair");
    int is_alloc = !strcmp(argv[5], "alloc");
    flow_count = atoi(argv[6]);
    size = atoi(argv[7]);
    int together = atoi(argv[8]);
    if (is_alloc && (together < 1 || together > TOGETHER)) fail("at least one at a time, 64 at most");
    flows = calloc((size_t)flow_count, sizeof *flows);
    epoll_fd = epoll_create1(0);
    peer_fd = udp_socket(NULL);
    socklen_t length = sizeof peer_address;
    getsockname(peer_fd, (struct sockaddr *)&peer_address, &length);
    for (int i = 0; i < flow_count; i++) {
        flows[i].fd = udp_socket(&server);
        if (!is_alloc) allocate(&flows[i]);
    }
    for (int i = 0; i < flow_count && !is_alloc; i++) {
        bind_channel(&flows[i], is_pair ? &flows[i ^ 1].relay : &peer_address);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, flows[i].fd, &event);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, peer_fd, &event);
    if (!is_alloc) {
        work(atof(argv[8]), WARM);
        memset(histogram, 0, sizeof histogram);
        for (int i = 0; i < flow_count; i++) flows[i].sent = flows[i].received = 0;
    }
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 1;
    uint64_t began = now_ns();
    if (is_alloc)
        for (int i = 0, n; i < flow_count; i += n) {
            n = flow_count - i < together ? flow_count - i : together;
            allocate_together(&flows[i], n);
        }
    else
        work(atof(argv[8]), atof(argv[9]));
    double seconds = (double)(now_ns() - began) / 1e9;
    uint64_t sent = 0, received = 0;
    for (int i = 0; i < flow_count; i++) sent += flows[i].sent, received += flows[i].received;
    lost = sent > received ? sent - received : 0; /* an echo of the time before may be among them */
    printf("{\"sent\": %llu, \"received\": %llu, \"relayed\": %llu, \"lost\": %llu, \"seconds\": %.3f, "
           "\"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
           (unsigned long long)sent, (unsigned long long)received, (unsigned long long)(received * 2),
           (unsigned long long)lost, seconds, percentile(0.5), percentile(0.99));
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 1;
    for (int i = 0; i < flow_count; i++) end_allocation(&flows[i]);
    return 0;
}
