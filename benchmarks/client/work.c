/* The kinds of load. One runs at a time; each has a deadline and an exact account of what it did.
 *
 *   login FIRST COUNT CONCURRENCY       sessions come online and stay
 *   logout                              all sessions close their streams
 *   churn TOTAL CONCURRENCY ACCOUNTS    sessions come online and leave at once, again and again
 *   reconnect TOTAL CONCURRENCY         sessions lose their connection and come back, one after the other
 *   chat MESSAGES OUTSTANDING           closed loop: each pair keeps OUTSTANDING messages in flight
 *   open MESSAGES RATE                  open loop: a random session writes, RATE times a second
 *   subscribe CONTACTS                  the first session and the next ones see each other's presence
 *   fanout ROUNDS CONTACTS              the first session changes its presence, ROUNDS times
 *   settle QUIET_MS                     until nothing has arrived for QUIET_MS
 *
 * Every command has the deadline in milliseconds as its last word. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum kind {
    KIND_NONE,
    KIND_LOGIN,
    KIND_LOGOUT,
    KIND_CHURN,
    KIND_RECONNECT,
    KIND_CHAT,
    KIND_OPEN,
    KIND_SUBSCRIBE,
    KIND_FANOUT,
    KIND_SETTLE
};

static const char *const kind_names[] = {"none", "login", "logout",    "churn",  "reconnect",
                                         "chat", "open",  "subscribe", "fanout", "settle"};

enum { BODY_BYTES = 200, BODY_HEAD = 26 };
static const uint64_t MS = 1000000, DRAIN_NS = 30000 * 1000000ull, PROGRESS_NS = 1000 * 1000000ull;

static struct {
    enum kind kind;
    bool aborted;
    uint64_t begun, deadline, last_done, last_heard, next_progress;
    double cpu_at_begin;
    long target, started, done, failed, gaps, repeats, errors;
    int concurrency, in_flight, accounts;
    uint64_t quiet;
    double rate, next_due;
    uint64_t worst_lateness;
    uint64_t *latency;
    long latencies, latency_room;
    long round, copies;
    uint64_t round_begun;
    char why[200];
} w;

/* The sessions that chat: set by the last login. */
static int first, count;
static char filler[BODY_BYTES - BODY_HEAD + 1];

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void remember(const char *why) {
    if (w.why[0] || !why) return;
    snprintf(w.why, sizeof w.why, "%s", why);
    for (char *c = w.why; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '\'';
}

static void add_latency(uint64_t begun) {
    uint64_t now = now_ns();
    w.last_done = now;
    if (w.latencies < w.latency_room) w.latency[w.latencies++] = now - begun;
}

static bool past_deadline(void) { return now_ns() >= w.deadline; }

/* ---- chat ---- */

static Conn *partner_of(const Conn *conn) { return g.conns[first + ((conn->index - first) ^ 1)]; }

static void send_chat(Conn *conn, uint64_t stamp) {
    Conn *to = partner_of(conn);
    if (!to || !to->jid) return;
    w.started++;
    conn->sent++;
    conn_printf(conn,
                "<message%s to='%s' type='chat' id='m%x'><body>%08x %016llx %s</body>"
                "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>",
                conn_namespace(conn), to->jid, conn->sent, conn->sent, (unsigned long long)stamp, filler);
}

static bool may_send_more(void) { return w.started < w.target && !past_deadline(); }

static void on_message(Conn *conn, Span stanza) {
    if (span_is(xml_attribute(stanza, "type"), "error")) {
        w.errors++;
        remember("a message came back as an error");
        return;
    }
    Span body = xml_text(stanza, "body");
    uint64_t sequence, stamp;
    if (body.len != BODY_BYTES || !span_hex((Span){body.at, 8}, &sequence) ||
        !span_hex((Span){body.at + 9, 16}, &stamp) || memcmp(body.at + BODY_HEAD, filler, BODY_BYTES - BODY_HEAD)) {
        w.errors++;
        remember("a message without the body that was sent");
        return;
    }
    if (sequence <= conn->expected) {
        w.repeats++;
        return;
    }
    w.gaps += (long)(sequence - conn->expected - 1);
    conn->expected = (uint32_t)sequence;
    if (w.kind != KIND_CHAT && w.kind != KIND_OPEN) return;
    w.done++;
    add_latency(stamp);
    if (w.kind == KIND_CHAT && may_send_more()) send_chat(conn, now_ns());
}

static void begin_chat(int outstanding) {
    for (int turn = 0; turn < outstanding; turn++)
        for (int i = first; i + 1 < first + count; i += 2)
            if (g.conns[i] && may_send_more()) send_chat(g.conns[i], now_ns());
}

/* Writers and moments are random with a fixed seed (a Poisson process): people do not write in step. */
static int64_t send_due(void) {
    while (may_send_more()) {
        uint64_t now = now_ns();
        if (w.next_due > (double)now) return (int64_t)(w.next_due - (double)now);
        Conn *writer = g.conns[first + (int)(random_next() % (uint32_t)count)];
        if (!writer) break;
        uint64_t lateness = now - (uint64_t)w.next_due;
        if (lateness > w.worst_lateness) w.worst_lateness = lateness;
        send_chat(writer, (uint64_t)w.next_due);
        w.next_due -= log((random_next() + 1.0) / 4294967297.0) * 1e9 / w.rate;
    }
    return -1;
}

/* ---- presence ---- */

static void begin_subscribing(void) {
    const Account *hub = &g.accounts[first];
    for (int i = first + 1; i <= first + w.accounts; i++)
        if (g.conns[i])
            conn_printf(g.conns[i], "<presence%s type='subscribe' to='%s@%s'/>", conn_namespace(g.conns[i]), hub->user,
                        g.domain);
}

static void on_subscription(Conn *conn, Span stanza, Span type) {
    Span from = xml_attribute(stanza, "from");
    const char *slash = memchr(from.at, '/', from.len);
    int bare = (int)(slash ? (size_t)(slash - from.at) : from.len);
    if (span_is(type, "subscribed")) {
        w.done++;
        w.last_done = now_ns();
    } else if (span_is(type, "subscribe") && !memchr(from.at, '\'', from.len)) {
        conn_printf(conn, "<presence%s type='subscribed' to='%.*s'/>", conn_namespace(conn), bare, from.at);
        if (conn->index == first)
            conn_printf(conn, "<presence%s type='subscribe' to='%.*s'/>", conn_namespace(conn), bare, from.at);
    }
}

static void begin_round(void) {
    for (int i = first + 1; i <= first + w.accounts; i++)
        if (g.conns[i]) g.conns[i]->flag = false;
    w.copies = 0;
    w.round++;
    w.started += w.accounts;
    w.round_begun = now_ns();
    conn_printf(g.conns[first], "<presence%s>%s<status>%08lx</status></presence>", conn_namespace(g.conns[first]),
                w.round & 1 ? "<show>away</show>" : "", w.round);
}

static void on_copy(Conn *conn, Span stanza) {
    uint64_t round;
    Span status = xml_text(stanza, "status");
    if (conn->index == first || !status.len || !span_hex(status, &round)) return;
    if ((long)round != w.round || conn->flag) {
        w.repeats++;
        return;
    }
    conn->flag = true;
    w.done++;
    add_latency(w.round_begun);
    if (++w.copies == w.accounts && w.started < w.target && !past_deadline()) begin_round();
}

/* ---- logins ---- */

static void start_logins(void) {
    while (w.in_flight < w.concurrency && w.started < w.target) {
        int index = w.kind == KIND_LOGIN ? first + (int)w.started : (int)(w.started % w.accounts);
        if (past_deadline() || g.conns[index]) break;
        w.started++;
        w.in_flight++;
        resume_forget(&g.accounts[index]);
        conn_start(index);
    }
}

static void start_reconnects(void) {
    while (w.in_flight < w.concurrency && w.started < w.target) {
        int index = first + (int)(w.started % count);
        Conn *before = g.conns[index];
        if (past_deadline() || !before || !before->online) break;
        w.started++;
        w.in_flight++;
        conn_cut(before);
        conn_start(index);
    }
}

void work_on_online(Conn *conn) {
    if (w.kind != KIND_LOGIN && w.kind != KIND_CHURN && w.kind != KIND_RECONNECT) return;
    w.done++;
    add_latency(conn->begun_ns);
    if (w.kind == KIND_CHURN)
        conn_close_stream(conn);
    else
        w.in_flight--;
}

void work_on_gone(Conn *conn, const char *why) {
    remember(why);
    if (w.kind == KIND_LOGIN || w.kind == KIND_CHURN || w.kind == KIND_RECONNECT) {
        if (w.kind == KIND_CHURN || !conn->online) w.in_flight--;
        if (why) w.failed++;
    } else if (why) {
        w.failed++;
        w.aborted = w.kind != KIND_LOGOUT;
    }
}

static bool anyone_is_connected(void) {
    for (int i = 0; i < g.account_count; i++)
        if (g.conns[i]) return true;
    return false;
}

static void begin_logout(void) {
    for (int i = 0; i < g.account_count; i++)
        if (g.conns[i]) conn_close_stream(g.conns[i]);
}

static void kill_all(void) {
    for (int i = 0; i < g.account_count; i++)
        if (g.conns[i]) conn_kill(g.conns[i], NULL);
}

/* ---- the frame around all ---- */

void work_on_stanza(Conn *conn, Span stanza, Span name) {
    w.last_heard = now_ns();
    if (span_is(name, "message")) {
        on_message(conn, stanza);
    } else if (span_is(name, "presence")) {
        Span type = xml_attribute(stanza, "type");
        if (span_is(type, "error")) {
            w.errors++;
            remember("a presence came back as an error");
        } else if (w.kind == KIND_SUBSCRIBE && type.len) {
            on_subscription(conn, stanza, type);
        } else if (w.kind == KIND_FANOUT && !type.len) {
            on_copy(conn, stanza);
        }
    }
}

static void print_progress(void) {
    uint64_t now = now_ns();
    if (now < w.next_progress) return;
    w.next_progress = now + PROGRESS_NS;
    printf("{\"progress\": %ld, \"of\": %ld}\n", w.done, w.target);
    fflush(stdout);
}

int64_t work_on_time(void) {
    int64_t wait = 50 * (int64_t)MS;
    if (w.kind == KIND_NONE) return -1;
    print_progress();
    if (w.kind == KIND_LOGIN || w.kind == KIND_CHURN) start_logins();
    if (w.kind == KIND_RECONNECT) start_reconnects();
    if (w.kind == KIND_OPEN) {
        int64_t due = send_due();
        if (due >= 0 && due < wait) wait = due;
    }
    return wait;
}

static bool is_complete(void) {
    bool no_more = w.started >= w.target || past_deadline();
    switch (w.kind) {
    case KIND_LOGIN:
    case KIND_CHURN:
    case KIND_RECONNECT:
        return w.in_flight == 0 && no_more;
    case KIND_CHAT:
    case KIND_OPEN:
    case KIND_FANOUT:
        return w.done + w.errors >= w.started && no_more;
    case KIND_SUBSCRIBE:
        return w.done >= w.target;
    case KIND_SETTLE:
        return now_ns() >= w.last_heard + w.quiet;
    case KIND_LOGOUT:
        return !anyone_is_connected();
    default:
        return true;
    }
}

bool work_is_done(void) {
    bool counts = w.kind == KIND_CHAT || w.kind == KIND_OPEN || w.kind == KIND_FANOUT;
    bool out_of_time = now_ns() >= w.deadline + (counts ? DRAIN_NS : 0);
    if (w.kind == KIND_NONE || !(w.aborted || out_of_time || is_complete())) return false;
    if (out_of_time && w.kind == KIND_LOGOUT) kill_all();
    if (out_of_time) remember("out of time");
    return true;
}

/* The text is the same in every run: letters from a generator of its own with a fixed seed. */
static void make_filler(void) {
    uint32_t x = 12345;
    for (int i = 0; i < BODY_BYTES - BODY_HEAD; i++) {
        x = x * 1103515245u + 12345u;
        uint32_t letter = x >> 16 & 31;
        filler[i] = letter < 26 ? (char)('a' + letter) : ' ';
    }
}

void work_begin(const char *command) {
    char name[32] = "";
    long n[4] = {0};
    int words = sscanf(command, "%31s %ld %ld %ld %ld", name, &n[0], &n[1], &n[2], &n[3]) - 1;
    uint64_t *latency = w.latency;
    /* Sessions that were lost while nothing ran are reported by the next command. */
    long lost_before = w.kind == KIND_NONE ? w.failed : 0;
    char why_before[sizeof w.why];
    memcpy(why_before, w.why, sizeof why_before);
    memset(&w, 0, sizeof w);
    if (lost_before) w.failed = lost_before, memcpy(w.why, why_before, sizeof w.why);
    if (!filler[0]) make_filler();
    for (int kind = KIND_LOGIN; kind <= KIND_SETTLE; kind++)
        if (strcmp(name, kind_names[kind]) == 0) w.kind = (enum kind)kind;
    w.begun = w.last_done = w.last_heard = now_ns();
    w.next_progress = w.begun + PROGRESS_NS;
    w.deadline = w.begun + (uint64_t)(words > 0 ? n[words - 1] : 0) * MS;
    w.cpu_at_begin = cpu_seconds();
    w.target = n[0];
    w.concurrency = (int)n[1];
    w.accounts = (int)n[1];
    if (w.kind == KIND_LOGIN) {
        first = (int)n[0], count = (int)n[1];
        w.target = n[1];
        w.concurrency = (int)n[2];
    } else if (w.kind == KIND_CHURN) {
        w.accounts = (int)n[2];
    } else if (w.kind == KIND_SUBSCRIBE) {
        w.accounts = (int)n[0];
        w.target = 2 * n[0];
    } else if (w.kind == KIND_FANOUT) {
        w.target = n[0] * n[1];
    } else if (w.kind == KIND_SETTLE) {
        w.quiet = (uint64_t)n[0] * MS;
        w.target = 0;
    }
    w.latency_room = w.target;
    w.latency = must(realloc(latency, (size_t)(w.target + 1) * sizeof *latency));
    switch (w.kind) {
    case KIND_CHAT:
        begin_chat((int)n[1]);
        break;
    case KIND_OPEN:
        w.rate = (double)n[1];
        w.next_due = (double)w.begun;
        break;
    case KIND_SUBSCRIBE:
        begin_subscribing();
        break;
    case KIND_FANOUT:
        begin_round();
        break;
    case KIND_LOGOUT:
        begin_logout();
        break;
    default:
        break;
    }
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(double part) {
    if (!w.latencies) return 0;
    return (double)w.latency[(long)(part * (double)(w.latencies - 1))] / 1e6;
}

void work_print_result(void) {
    double seconds = (double)(w.last_done - w.begun) / 1e9;
    qsort(w.latency, (size_t)w.latencies, sizeof *w.latency, by_value);
    long lost = w.kind == KIND_CHAT || w.kind == KIND_OPEN || w.kind == KIND_FANOUT ? w.started - w.done : 0;
    printf("{\"work\": \"%s\", \"target\": %ld, \"started\": %ld, \"done\": %ld, \"failed\": %ld, \"lost\": %ld, "
           "\"gaps\": %ld, \"repeats\": %ld, \"errors\": %ld, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
           "\"max_ms\": %.4f, \"client_lateness_max_ms\": %.4f, \"client_cpu_s\": %.4f, \"negotiated\": \"%s\", \"why\": \"%s\"}\n",
           kind_names[w.kind], w.target, w.started, w.done, w.failed, lost, w.gaps, w.repeats, w.errors, seconds,
           percentile_ms(0.5), percentile_ms(0.99), percentile_ms(1.0), (double)w.worst_lateness / 1e6,
           cpu_seconds() - w.cpu_at_begin, g.negotiated, w.why);
    fflush(stdout);
    w.kind = KIND_NONE;
    w.failed = 0;
    w.why[0] = 0;
}
