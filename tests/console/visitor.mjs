// People at the console, each with a browser of their own, and what is asked of every page they see.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before } from "node:test";

const modules = createRequire(join(process.env.KEYWRIGHT_NODE_MODULES, "from-here.js"));
const { chromium } = modules("playwright-core");
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");

export const STORES = (process.env.KEYWRIGHT_STORES ?? "sqlite postgres").split(" ");
export const WIDTHS = [1280, 375];
const LIMIT_MS = 20_000;

const pictures = process.env.KEYWRIGHT_SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.KEYWRIGHT_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
});
after(() => browser?.close());

/** Somebody with a browser of their own. */
export async function visitor(server, { scripts = true, width = 1280, dark = false } = {}) {
  const context = await browser.newContext({
    baseURL: server.base,
    javaScriptEnabled: scripts,
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
  });
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { context, page, complaints };
}

export async function signIn(page, server) {
  await page.goto("/sign-in");
  await page.getByLabel("Service key").fill(server.serviceKey);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Keys", exact: true }).waitFor();
}

/** Nothing stands beyond the edge of the screen. */
export async function fits(page) {
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${page.url()} is ${width[0]} wide on a screen of ${width[1]}`);
}

/** A page that axe-core finds nothing on, and a picture of it. */
export async function looksRight(page, name, dark) {
  const picture = `${name}-${dark ? "dark" : "light"}.png`;
  if (pictures) await page.screenshot({ path: join(pictures, picture), fullPage: true });
  // The page's own policy forbids scripts from elsewhere; the debugger may run them all the same.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
  assert.deepEqual(told, [], name);
}
