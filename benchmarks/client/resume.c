/* Sessions that outlive their connection: stream management (XEP-0198), resumption inside of the login (XEP-0388
 * section 2.6, XEP-0198 section 8), and logins by token (XEP-0484). */
#define _GNU_SOURCE
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_SM "urn:xmpp:sm:3"

void resume_forget(Account *account) {
    free(account->resume_id);
    free(account->resume_jid);
    free(account->token);
    account->resume_id = account->resume_jid = account->token = NULL;
    account->handled = 0;
}

bool resume_is_wanted(const Conn *conn) { return conn->account->resume_id != NULL; }

void resume_ask_to_enable(Conn *conn) {
    conn->state = STATE_WAIT_ENABLED;
    conn_printf(conn, "<enable xmlns='" NS_SM "' resume='true'/>");
}

static void write_resume(const Conn *conn, char *out, size_t room) {
    const Account *account = conn->account;
    snprintf(out, room, "<resume xmlns='" NS_SM "' previd='%s' h='%u'/>", account->resume_id, account->handled);
}

void resume_ask(Conn *conn) {
    char resume[1024];
    write_resume(conn, resume, sizeof resume);
    conn->state = STATE_WAIT_RESUMED;
    conn_printf(conn, "%s", resume);
}

void resume_authenticate(Conn *conn, const char *mechanism, const char *initial) {
    char inlined[1200] = "";
    bool by_token = strncmp(mechanism, "HT-", 3) == 0;
    int len = 0;
    if (by_token)
        len = snprintf(inlined, sizeof inlined, "<fast xmlns='urn:xmpp:fast:0'/>");
    else if (g.resumption == RESUMPTION_FAST)
        len = snprintf(inlined, sizeof inlined,
                       "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>");
    if (resume_is_wanted(conn)) write_resume(conn, inlined + len, sizeof inlined - (size_t)len);
    conn_printf(conn,
                "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='%s'><initial-response>%s</initial-response>"
                "<user-agent id='%08x-0000-4000-8000-000000000000'/>%s</authenticate>",
                mechanism, initial, (unsigned)conn->index, inlined);
}

/* Keeps a copy of an attribute that is sent back later, as it was escaped. */
static char *kept(Span value) {
    return value.len && value.len < 512 && !memchr(value.at, '\'', value.len) ? must(strndup(value.at, value.len)) : NULL;
}

/* The same session on another connection. */
static bool has_resumed(Conn *conn) {
    conn->counts = true;
    conn->jid = must(strdup(conn->account->resume_jid));
    return true;
}

bool resume_on_success(Conn *conn, Span success) {
    Account *account = conn->account;
    bool by_token = account->token && resume_is_wanted(conn);
    if (by_token && !hashed_token_server_is_right(account, success)) {
        conn_kill(conn, "the server's proof that it knows the token is wrong");
        return false;
    }
    Span token = xml_find(success, "token");
    if (token.len) {
        free(account->token);
        account->token = kept(xml_attribute(token, "token"));
    }
    if (!resume_is_wanted(conn)) return false;
    if (xml_find(success, "resumed").len) return has_resumed(conn);
    conn_kill(conn, "the login did not resume the session");
    return false;
}

static void on_enabled(Conn *conn, Span enabled) {
    Account *account = conn->account;
    account->resume_id = kept(xml_attribute(enabled, "id"));
    if (!account->resume_id) {
        conn_kill(conn, "the server enabled no resumption");
        return;
    }
    account->resume_jid = must(strdup(conn->jid));
    account->handled = 0;
    conn->counts = true;
    login_go_on(conn);
}

bool resume_on_element(Conn *conn, Span element, Span name) {
    if (span_is(name, "r")) {
        conn_printf(conn, "<a xmlns='" NS_SM "' h='%u'/>", conn->account->handled);
    } else if (span_is(name, "enabled") && conn->state == STATE_WAIT_ENABLED) {
        on_enabled(conn, element);
    } else if (span_is(name, "resumed") && conn->state == STATE_WAIT_RESUMED) {
        has_resumed(conn);
        login_has_resumed(conn);
    } else if (span_is(name, "failed")) {
        conn_kill(conn, conn->state == STATE_WAIT_ENABLED ? "stream management was refused" : "it was not resumed");
    } else {
        return span_is(name, "a");
    }
    return true;
}
