// Debian's Chromium, without a window and without calls home.

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", // Chromium refuses to start as root with it
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const launch = (more = []) =>
  chromium.launch({ executablePath: process.env.CHROMIUM, args: [...FLAGS, ...more] });
