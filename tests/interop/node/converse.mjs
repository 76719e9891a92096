// Converse in headless Chromium over WSS, used the way a person does: form, contact list, chat window.

import { launch } from "./browser.mjs";
import { emit, serve } from "./lines.mjs";

const WAIT_MS = 25_000;
let browser;
let page;

/** Runs in the page: reports what the connection sees, and starts Converse. */
function startConverse({ url, domain, mechanism, resumes, isRegistering = false }) {
  const { Strophe } = globalThis.converse.env;
  const tell = (event, fields = {}) => globalThis.tell(event, fields);

  globalThis.converse.plugins.add("interop", {
    initialize() {
      const { api, state } = this._converse;
      const tellItem = (jid, subscription) => tell("roster", { jid, subscription });
      const seePresence = (presence) => {
        const [from, type] = ["from", "type"].map((name) => presence.getAttribute(name));
        if (type === "subscribe") tell("subscription-request", { from });
        else if (!type || type === "unavailable") tell("presence", { from, type: type || "available" });
        return true;
      };
      const seeRoster = (iq) => {
        for (const item of iq.querySelectorAll("item")) {
          tellItem(item.getAttribute("jid"), item.getAttribute("subscription"));
        }
        return true;
      };
      api.listen.on("afterResourceBinding", () => {
        const connection = api.connection.get();
        connection.addHandler(seePresence, null, "presence");
        connection.addHandler(seeRoster, Strophe.NS.ROSTER, "iq", "set");
      });
      const comeOnline = () => {
        for (const contact of state.roster.models) tellItem(contact.get("jid"), contact.get("subscription"));
        tell("online", { jid: api.connection.get().jid });
      };
      api.listen.on("rosterContactsFetched", comeOnline);
      api.listen.on("rosterReadyAfterReconnection", comeOnline);
      api.listen.on("will-reconnect", () => tell("offline"));
      api.listen.on("disconnected", () => tell("offline"));
      globalThis.logOut = () => api.user.logout();
      api.listen.on("message", ({ attrs }) => {
        if (attrs?.body && attrs.sender === "them") tell("message", { from: attrs.from, body: attrs.body });
      });
    },
  });
  globalThis.converse.initialize({
    authentication: "login",
    websocket_url: url,
    locked_domain: domain,
    discover_connection_methods: false,
    connection_options: mechanism === "PLAIN" ? { mechanisms: [Strophe.SASLPlain] } : {},
    view_mode: "fullscreen",
    enable_smacks: resumes,
    allow_registration: isRegistering,
    registration_domain: isRegistering ? domain : "",
    assets_path: "/dist/",
    persistent_store: "sessionStorage",
    i18n: "en",
    whitelisted_plugins: ["interop"],
  });
}

/** Passes an event on; a message only once a person could read it. */
async function tell(event, fields) {
  if (event === "message") {
    await page.locator(".chat-msg__text", { hasText: fields.body }).last().waitFor({ timeout: WAIT_MS });
  }
  emit(event, fields);
}

/** A browser on the page, with Converse started. */
async function show({ page_url, ...settings }) {
  browser = await launch();
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1100, height: 750 } });
  context.setDefaultTimeout(WAIT_MS);
  page = await context.newPage();
  page.on("console", (message) => console.error(message.type(), message.text().slice(0, 500)));
  page.on("pageerror", (error) => console.error(error));
  await page.route((url) => url.hostname !== "localhost", (route) => route.abort());
  await page.exposeFunction("tell", (event, fields) => tell(event, fields).catch(console.error));
  await page.goto(page_url);
  await page.waitForFunction(() => globalThis.converse?.initialize);
  await page.evaluate(startConverse, { resumes: !process.argv.includes("anew"), ...settings });
}

const registration = () => page.locator("#converse-register");

serve({
  async login({ username, password, ...settings }) {
    await show(settings);
    await page.locator("input[name=jid]").fill(username);
    await page.locator("input[name=password]").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
    const refused = page.locator(".conn-feedback.alert-danger");
    await page.locator(".xmpp-status .online").or(refused).first().waitFor();
    if (await refused.isVisible()) throw new Error(await refused.innerText());
  },
  async register({ address, ...settings }) {
    await show({ ...settings, isRegistering: true });
    await page.getByText("Create an account").click();
    await registration().locator("input[name=email]").fill(address);
    await registration().getByRole("button", { name: "Register" }).click();
    const told = page.locator(".alert-danger", { hasText: "letter" });
    await told.waitFor();
    emit("asked", { text: await told.innerText() });
  },
  async finish({ address, code, password }) {
    await registration().locator("input[name=email]").fill(address);
    await registration().locator("input[name=x-pin]").fill(code);
    await registration().locator("input[name=password]").fill(password);
    await registration().getByRole("button", { name: "Register" }).click();
    await page.locator("#converse-login-panel, converse-login-form").first().waitFor();
    await page.locator("input[name=jid]").fill(address);
    await page.locator("input[name=password]").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator(".xmpp-status .online").first().waitFor();
  },
  async subscribe({ to }) {
    await page.locator("#converse-roster .dropdown--contacts button").click();
    await page.locator(".add-contact").click();
    const form = page.locator("form.add-xmpp-contact");
    await form.locator("input[name=jid]").fill(to);
    await form.getByRole("button", { name: "Add" }).click();
    await page.locator("converse-add-contact-modal.show").waitFor({ state: "hidden" });
  },
  approve: async () => {}, // it approves by itself whom its user has added
  async accept({ to }) {
    const contact = page.locator("#converse-roster li", { has: page.locator(`a[data-jid="${to}"]`) });
    await contact.locator(".contact-actions button").click();
    await contact.locator(".accept-xmpp-request").click();
    await page.getByRole("button", { name: "Accept", exact: true }).click();
  },
  async message({ to, body }) {
    const jid = to.split("/")[0];
    await page.locator(`#converse-roster a.open-chat[data-jid="${jid}"]`).click();
    const box = page.locator(`converse-chat[jid="${jid}"] .chat-textarea`);
    await box.fill(body);
    await box.press("Enter");
  },
  /** Waits until a message can be read in the window of a conversation; tells all that can be read there. */
  async read({ of, until }) {
    const texts = page.locator(`converse-chat[jid="${of}"] .chat-msg__text`);
    await texts.filter({ hasText: until }).first().waitFor();
    emit("read", { texts: await texts.allInnerTexts() });
  },
  screenshot: ({ path }) => page.screenshot({ path }),
  async logout() {
    await page.evaluate(() => globalThis.logOut());
    await browser.close();
  },
});
