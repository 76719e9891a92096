// @xmpp/client (xmpp.js) over WSS. It has SCRAM-SHA-1 and PLAIN, and comes back by itself.

import WebSocket from "ws";

import { emit, serve } from "./lines.mjs";

globalThis.WebSocket ??= WebSocket;
const { client, xml } = await import("@xmpp/client");

const ROSTER = "jabber:iq:roster";
let xmpp;

function tellRoster(query) {
  for (const { attrs } of query.getChildren("item")) {
    emit("roster", { jid: attrs.jid, subscription: attrs.subscription });
  }
}

function tellStanza(stanza) {
  const { from, type } = stanza.attrs;
  if (stanza.is("message") && stanza.getChild("body")) {
    emit("message", { from, body: stanza.getChildText("body") });
  } else if (stanza.is("presence") && type === "subscribe") {
    emit("subscription-request", { from });
  } else if (stanza.is("presence") && (!type || type === "unavailable")) {
    emit("presence", { from, type: type ?? "available" });
  }
}

async function comeOnline(address) {
  tellRoster((await xmpp.iqCaller.get(xml("query", ROSTER))) ?? xml("query", ROSTER));
  await xmpp.send(xml("presence"));
  emit("online", { jid: address.toString() });
}

serve({
  async login({ url, domain, username, password, mechanism, resource }) {
    const forced = (authenticate) => authenticate({ username, password }, mechanism);
    const who = mechanism ? { credentials: forced } : { username, password };
    xmpp = client({ service: url, domain, resource, ...who });
    xmpp.reconnect.delay = 200;
    xmpp.iqCallee.set(ROSTER, "query", ({ element }) => {
      tellRoster(element);
      return true;
    });
    xmpp.on("stanza", tellStanza);
    xmpp.on("disconnect", () => emit("offline"));
    xmpp.on("error", (error) => console.error(error));
    xmpp.on("online", (address) => comeOnline(address).catch(console.error));
    await xmpp.start();
  },
  subscribe: ({ to }) => xmpp.send(xml("presence", { to, type: "subscribe" })),
  approve: ({ to }) => xmpp.send(xml("presence", { to, type: "subscribed" })),
  message: ({ to, body }) => xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body))),
  async logout() {
    xmpp.reconnect.stop();
    await xmpp.stop();
  },
});
