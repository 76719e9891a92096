// strophe.js over WSS. It has SCRAM-SHA-1, -256, -384, -512 and PLAIN; coming back is the application's work.

import { $iq, $msg, $pres, Strophe } from "strophe.js";

import { emit, serve } from "./lines.mjs";

const { Status } = Strophe;
const ROSTER = "jabber:iq:roster";
const RETRY_MS = 200;
let connection;
let leaving = false;

function tellRoster(iq) {
  for (const item of iq.getElementsByTagName("item")) {
    emit("roster", { jid: item.getAttribute("jid"), subscription: item.getAttribute("subscription") });
  }
}

function onPresence(presence) {
  const [from, type] = ["from", "type"].map((name) => presence.getAttribute(name));
  if (type === "subscribe") emit("subscription-request", { from });
  else if (!type || type === "unavailable") emit("presence", { from, type: type || "available" });
  return true;
}

function onMessage(message) {
  const body = message.getElementsByTagName("body")[0];
  if (body) emit("message", { from: message.getAttribute("from"), body: body.textContent });
  return true;
}

function onRosterPush(iq) {
  tellRoster(iq);
  connection.send($iq({ type: "result", id: iq.getAttribute("id") }));
  return true;
}

function comeOnline() {
  connection.addHandler(onPresence, null, "presence");
  connection.addHandler(onMessage, null, "message");
  connection.addHandler(onRosterPush, ROSTER, "iq", "set");
  connection.sendIQ($iq({ type: "get" }).c("query", { xmlns: ROSTER }), (result) => {
    tellRoster(result);
    connection.send($pres());
    emit("online", { jid: connection.jid });
  });
}

function connect({ domain, username, password, resource }, onStatus) {
  // An e-mail address becomes a localpart by XEP-0106, as applications built on Strophe do it.
  connection.reset();
  connection.connect(`${Strophe.escapeNode(username)}@${domain}/${resource}`, password, onStatus);
}

serve({
  login(account) {
    const only = { "SCRAM-SHA-256": Strophe.SASLSHA256, "SCRAM-SHA-1": Strophe.SASLSHA1, PLAIN: Strophe.SASLPlain };
    const mechanisms = account.mechanism ? [only[account.mechanism]] : undefined;
    connection = new Strophe.Connection(account.url, { mechanisms });
    return new Promise((resolve, reject) => {
      const onStatus = (status, reason, answer) => {
        if (status === Status.CONNECTED) {
          comeOnline();
          resolve();
        } else if (status === Status.AUTHFAIL) {
          leaving = true;
          reject(new Error(reason ?? answer?.firstElementChild?.tagName));
        } else if (status === Status.DISCONNECTED) {
          emit("offline");
          if (!leaving) setTimeout(connect, RETRY_MS, account, onStatus);
        }
      };
      connect(account, onStatus);
    });
  },
  subscribe: ({ to }) => connection.send($pres({ to, type: "subscribe" })),
  approve: ({ to }) => connection.send($pres({ to, type: "subscribed" })),
  message: ({ to, body }) => connection.send($msg({ to, type: "chat" }).c("body").t(body)),
  logout() {
    leaving = true;
    connection.disconnect();
  },
});
