// The server's own pages in headless Chromium, used the way a person does: links, fields by their labels, buttons.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { launch } from "./browser.mjs";
import { emit, serve } from "./lines.mjs";

const WAIT_MS = 20_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
let browser;
let page;
let status = 0;
let problems = [];

/** What a page is, for the test to judge. */
async function tell() {
  const { path, ...shown } = await page.evaluate(() => ({
    path: location.pathname + location.search + location.hash,
    title: document.title,
    language: document.documentElement.lang,
    headings: [...document.querySelectorAll("h1, h2, h3")].map((each) => [each.tagName, each.innerText]),
    text: document.body.innerText,
    focused: document.activeElement?.className ?? "",
  }));
  emit("page", { path, status, ...shown });
}

/** What is wrong with a page for people who cannot see it well, and whether it is wider than the window. */
async function judge({ rules }) {
  if (!(await page.evaluate(() => globalThis.axe))) await page.evaluate(AXE); // through the debugger, which no content policy concerns
  const found = await page.evaluate(
    (runOnly) => globalThis.axe.run(document, { runOnly, resultTypes: ["violations"] }),
    rules ? { type: "rule", values: rules } : { type: "tag", values: TAGS },
  );
  const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  emit("judged", { checks: found.passes.length, violations, excess, problems });
  problems = [];
}

serve({
  async open({ origin, width = 1100, height = 800, scheme = "light", locale = "en-GB" }) {
    browser ??= await launch();
    await page?.context().close();
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      baseURL: origin,
      viewport: { width, height },
      colorScheme: scheme,
      locale,
    });
    context.setDefaultTimeout(WAIT_MS);
    page = await context.newPage();
    page.on("console", (message) => {
      // Chromium reports the status of a refused form as an error of the console; the test asks for it itself.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
        problems.push(message.text());
      }
    });
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("requestfailed", (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
    page.on("response", (response) => {
      if (response.request().isNavigationRequest()) status = response.status();
    });
  },
  async look({ width, height, scheme }) {
    if (width) await page.setViewportSize({ width, height });
    if (scheme) await page.emulateMedia({ colorScheme: scheme });
  },
  async go({ path }) {
    await page.goto(path);
    await tell();
  },
  async fill({ label, value }) {
    await page.getByLabel(label, { exact: true }).fill(value);
  },
  async press({ name, nth = 0 }) {
    const button = page.getByRole("button", { name, exact: true }).or(page.getByRole("link", { name, exact: true }));
    await Promise.all([page.waitForEvent("load"), button.nth(nth).click()]);
    await tell();
  },
  async keys({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
    await page.waitForTimeout(300);
    await page.waitForLoadState("load");
    await tell();
  },
  async cookies() {
    emit("cookies", { cookies: await page.context().cookies() });
  },
  judge,
  screenshot: ({ path }) => page.screenshot({ path, fullPage: true }),
});
