// Somebody with a browser: what the tests of the console share. KEYWRIGHT_SCREENSHOTS names a folder for pictures of whole
// pages, KEYWRIGHT_PICTURES one for small ones, KEYWRIGHT_STORES the stores to run on (both if it is not set).

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
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
const smallPictures = process.env.KEYWRIGHT_PICTURES;
for (const folder of [pictures, smallPictures]) if (folder) mkdirSync(folder, { recursive: true });

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

/** Signs in with the first service key. */
export async function signIn(page, server) {
  await page.goto("/sign-in");
  await page.getByLabel("Service key").fill(server.serviceKey);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Keys", exact: true }).waitFor();
}

async function picture(page, name, isShown) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  if (smallPictures && isShown) await smallPicture(page, name);
}

/** A picture for the documents: the upper part, at three quarters, in a format that takes little. */
async function smallPicture(page, name) {
  const { width, height } = await page.evaluate(() => ({
    width: innerWidth,
    height: Math.min(document.querySelector("main").getBoundingClientRect().bottom, 1000),
  }));
  const inspector = await page.context().newCDPSession(page);
  const clip = { x: 0, y: 0, width, height, scale: 0.75 };
  const { data } = await inspector.send("Page.captureScreenshot", { format: "webp", quality: 75, clip, captureBeyondViewport: true });
  writeFileSync(join(smallPictures, `${name}.webp`), Buffer.from(data, "base64"));
  await inspector.detach();
}

/** Nothing stands beyond the edge of the screen. */
export async function fits(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth).catch(() => 0);
  assert.ok(wide <= 0, `${page.url()} is ${wide} pixels too wide`);
}

/** Takes a picture (a small one too, of what is to be shown), and has axe-core look for what it knows to be wrong. */
export async function looksRight(page, name, dark, isShown = false) {
  await picture(page, `${name}-${dark ? "dark" : "light"}`, isShown);
  // The page's own policy forbids scripts from elsewhere; the debugger may run them all the same.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
  assert.deepEqual(told, [], name);
}
