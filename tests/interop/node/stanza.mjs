// stanza (StanzaJS) over WSS. It has SCRAM-SHA-1, SCRAM-SHA-256 and PLAIN, and comes back by itself: with "resume"
// on its command line to the session it had.

import { createClient } from "stanza";

import { emit, serve } from "./lines.mjs";

let client;
const seen = new Map();

/** Shows a message to its reader, unless it was shown before. */
function show(id, body) {
  if (seen.has(id)) return;
  seen.set(id, body);
  emit("shown", { body });
}

const see = ({ body, stanzaIds = [] }) => body && show(stanzaIds[0]?.id, body);

function useOnly(mechanism) {
  for (const { name } of [...client.sasl.mechanisms]) {
    if (name !== mechanism) client.sasl.disable(name);
  }
}

function tellRoster({ items = [] }) {
  for (const { jid, subscription } of items) emit("roster", { jid, subscription });
}

serve({
  async login({ url, domain, username, password, mechanism, resource }) {
    client = createClient({
      jid: `${username.includes("@") ? "" : `${username}@`}${domain}`,
      server: domain,
      resource,
      credentials: { username, password },
      transports: { websocket: url, bosh: false },
      autoReconnect: true,
      maxReconnectBackoff: 1,
      useStreamManagement: process.argv.includes("resume"),
    });
    if (mechanism) useOnly(mechanism);
    client.on("session:started", async () => {
      tellRoster(await client.getRoster());
      client.sendPresence();
      emit("online", { jid: client.jid });
    });
    client.on("roster:update", ({ roster }) => tellRoster(roster));
    client.on("subscribe", ({ from }) => emit("subscription-request", { from }));
    client.on("available", ({ from }) => emit("presence", { from, type: "available" }));
    client.on("unavailable", ({ from }) => emit("presence", { from, type: "unavailable" }));
    client.on("message", ({ from, body }) => body && emit("message", { from, body }));
    client.on("message", see);
    for (const way of ["received", "sent"]) {
      client.on(`carbon:${way}`, ({ carbon }) => see(carbon.forward.message));
    }
    client.on("disconnected", () => emit("offline"));
    await new Promise((resolve, reject) => {
      client.once("session:started", resolve);
      client.once("auth:failed", () => reject(new Error("not-authorized")));
      client.connect();
    });
  },
  subscribe: ({ to }) => client.subscribe(to),
  approve: ({ to }) => client.acceptSubscription(to),
  message: ({ to, body }) => client.sendMessage({ to, type: "chat", body }),
  carbons: () => client.enableCarbons(),
  /** Fills what is missing since the archive's last message that was shown. */
  async catch_up({ of }) {
    let after = [...seen.keys()].at(-1);
    for (let complete = false; !complete; ) {
      const answer = await client.searchHistory(of, { paging: { max: 3, after } });
      for (const { id, item } of answer.results) show(id, item.message.body);
      ({ complete = false, paging: { last: after } = {} } = answer);
    }
  },
  async history({ of, with_, page }) {
    const found = [];
    let after;
    for (let complete = false; !complete; ) {
      const asked = { paging: { max: page, after }, ...(with_ && { with: with_ }) };
      const answer = await client.searchHistory(of, asked);
      found.push(...answer.results.map(({ item }) => [item.message.id, item.message.body]));
      ({ complete = false, paging: { last: after } = {} } = answer);
    }
    emit("history", { of, messages: found });
  },
  async push({ jid, node, secret }) {
    try {
      await client.enableNotifications(jid, node, [{ name: "secret", value: secret }]);
      emit("push", { error: "" });
    } catch ({ error }) {
      emit("push", { error: error.condition });
    }
  },
  no_push: ({ jid, node }) => client.disableNotifications(jid, node),
  logout: () => client.disconnect(),
});
