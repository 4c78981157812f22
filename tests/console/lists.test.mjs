// The console's lists and charts: a key found by what people remember of it, several of them at once, how they were used,
// and what an operator sees of it all.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { Server } from "./server.mjs";
import { STORES, WIDTHS, fits, looksRight, signIn, visitor } from "./visitor.mjs";

const run = promisify(execFile);
const LIMIT_MS = 20_000;

/** Asks until the answer is what it should be. */
async function becomes(ask, expected) {
  const until = Date.now() + LIMIT_MS;
  let last;
  while (Date.now() < until) {
    last = await ask();
    if (last === expected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(last, expected);
}

for (const store of STORES) {
  describe(`lists on ${store}`, () => {
    let server;
    before(async () => { server = await Server.start(store); });
    after(() => server?.stop());

    for (const scripts of [true, false]) {
      for (const width of WIDTHS) {
        test(`keys are found, suspended and revoked together, ${scripts ? "with" : "without"} scripts, ${width} pixels wide`, async () => {
          const { context, page, complaints } = await visitor(server, { scripts, width });
          const user = `finder ${scripts} ${width}`;
          const keys = [];
          for (const name of ["shop front", "Shop back", "nightly"]) keys.push(await server.makeKey(user, { name }));
          await signIn(page, server);

          // A whole key is pasted: it is found, and is in no address.
          const pasted = keys[2].plain_text_key;
          await page.getByLabel("Search").fill(`X-API-Key: ${pasted}`);
          await page.getByLabel("User").fill(user);
          await page.getByRole("button", { name: "Show" }).click();
          await page.waitForURL(/[?&]q=/);
          await page.getByRole("link", { name: "nightly" }).waitFor();
          const masked = `${pasted.slice(0, 8)}…${pasted.slice(-8)}`;
          assert.equal(new URL(page.url()).searchParams.get("q"), masked);
          assert.ok(!(await page.content()).includes(pasted));
          await fits(page);

          await page.getByLabel("Search").fill("shop");
          await page.getByRole("button", { name: "Show" }).click();
          await page.waitForURL(/[?&]q=shop/);
          await page.getByRole("link", { name: "Shop back" }).waitFor();
          assert.equal(await page.getByRole("link", { name: "nightly" }).count(), 0);

          await page.getByRole("checkbox", { name: "Select Shop back" }).check();
          await page.getByRole("checkbox", { name: "Select shop front" }).check();
          await page.getByRole("button", { name: "Suspend" }).click();
          await page.getByText("2 keys are suspended").waitFor();
          for (const key of keys.slice(0, 2)) assert.equal(await server.codeOf(key.plain_text_key), "SUSPENDED");
          assert.equal(await server.codeOf(pasted), "VALID");
          assert.equal(new URL(page.url()).searchParams.get("q"), "shop", "the list is still that of the search");

          if (scripts) {
            await page.getByRole("checkbox", { name: "Select all on this page" }).check();
            await page.getByText("2 selected:").waitFor();
          } else {
            for (const name of ["Shop back", "shop front"]) await page.getByRole("checkbox", { name: `Select ${name}` }).check();
          }
          await page.getByRole("button", { name: "Revoke…" }).click();
          await page.getByRole("heading", { name: "Revoke keys" }).waitFor();
          await fits(page);
          await page.getByLabel("To revoke all 2").fill("revoke 3");
          await page.getByRole("button", { name: "Revoke", exact: true }).click();
          await page.getByText("must be exactly what stands above").waitFor();
          await page.getByLabel("To revoke all 2").fill("revoke 2");
          await page.getByRole("button", { name: "Revoke", exact: true }).click();
          await page.getByText("2 keys are revoked").waitFor();
          for (const key of keys.slice(0, 2)) assert.equal(await server.codeOf(key.plain_text_key), "REVOKED");
          assert.deepEqual(complaints.filter((text) => !text.includes("422")), []);
          await context.close();
        });
      }
    }

    for (const scripts of [true, false]) {
      test(`how a key was used is shown, ${scripts ? "as a chart with scripts" : "as a table without"}`, async () => {
        const { context, page, complaints } = await visitor(server, { scripts });
        const { api_key: key, plain_text_key: text } = await server.makeKey("user", { name: `used ${scripts}` });
        for (let time = 0; time < 3; time++) await server.codeOf(text);
        await signIn(page, server);
        const counted = async () => {
          await page.goto(`/keys/${key.id}`);
          return (await page.locator(".legend").allTextContents()).join().trim();
        };
        await becomes(counted, "Accepted 3");
        if (scripts) await page.locator(".uplot canvas").waitFor();
        await page.getByText("As a table").click();
        const table = page.getByRole("region", { name: `Verifications of used ${scripts}, last 24 hours` });
        assert.equal(await table.locator("tbody tr").count(), 24);
        assert.equal(await table.getByRole("cell", { name: "3", exact: true }).count(), 1);
        await page.getByRole("link", { name: "30 days" }).click();
        await page.locator("[aria-label$='last 30 days']").waitFor({ state: "attached" });
        if (scripts) {
          await page.locator(".uplot canvas").waitFor();
          assert.equal(await page.locator(".uplot").count(), 1, "one chart, after the page changed without loading");
        }
        assert.deepEqual(complaints, []);
        await context.close();
      });
    }

    test("the overview goes on by itself", async () => {
      const { context, page, complaints } = await visitor(server);
      await signIn(page, server);
      await page.getByRole("link", { name: "Overview" }).click();
      await page.locator("#live .uplot canvas").waitFor();
      const { plain_text_key: text } = await server.makeKey("user", { name: "suddenly busy" });
      for (let time = 0; time < 50; time++) await server.codeOf(text);
      await page.getByRole("region", { name: "Busiest keys" }).getByRole("link", { name: "suddenly busy" }).waitFor();
      await page.locator("#live .uplot canvas").waitFor();
      assert.equal(await page.locator("#live .uplot").count(), 1);
      // Its session is ended elsewhere: it says so, and asks no further.
      await server.endSessions();
      await page.getByText("The session has ended").waitFor();
      assert.deepEqual(complaints, []);
      await context.close();
    });

    test("the overview leaves whoever reads it alone", async () => {
      const { context, page } = await visitor(server);
      await signIn(page, server);
      const { plain_text_key: text } = await server.makeKey("user", { name: "read about" });
      await server.codeOf(text);
      await page.goto("/overview");
      const live = page.locator("#live");
      await live.locator(".uplot canvas").waitFor();
      let asked = 0;
      page.on("request", (request) => request.url().endsWith("/overview/live") && asked++);
      const account = page.getByRole("link", { name: "Account" });
      await account.focus();
      // It goes on, and the focus stays where it is.
      await page.waitForResponse(/overview\/live/);
      await page.waitForResponse(/overview\/live/);
      assert.ok(await account.evaluate((link) => link === document.activeElement));
      // What is opened in it stays open: it waits meanwhile.
      await live.getByText("As a table").click();
      const before = asked;
      await page.waitForTimeout(6_000);
      assert.equal(asked, before);
      assert.ok(await live.locator("details").evaluate((details) => details.open));
      await live.getByText("As a table").click();
      await account.focus();
      await page.waitForResponse(/overview\/live/);
      await context.close();
    });

    for (const scripts of [true, false]) {
      test(`a form that is clicked twice makes one key, and shows it, ${scripts ? "with" : "without"} scripts`, async () => {
        const { context, page } = await visitor(server, { scripts });
        await signIn(page, server);
        await page.goto("/keys/new");
        const name = `clicked twice ${scripts}`;
        await page.getByRole("textbox", { name: "Name", exact: true }).fill(name);
        await page.getByLabel("User").fill("hasty");
        await page.getByRole("button", { name: "Make the key" }).last().dblclick();
        await page.locator("#text").waitFor();
        const made = await server.api("GET", "/api/users/hasty/api-keys");
        assert.equal(made.filter((key) => key.name === name).length, 1);
        await context.close();
      });
    }

    test("the page of a new key asks before Back leaves it, and what was typed before any link does", async () => {
      const { context, page } = await visitor(server);
      await signIn(page, server);
      await page.getByRole("link", { name: /^(New key|Make the first key)$/ }).first().click();
      await page.getByRole("textbox", { name: "Name", exact: true }).fill("asks");
      const questions = [];
      page.on("dialog", (dialog) => { questions.push(dialog.type()); return dialog.dismiss(); });
      await page.getByRole("link", { name: "Account" }).click();
      assert.deepEqual(questions, ["confirm"]);
      await page.getByLabel("User").fill("asker");
      await page.getByRole("button", { name: "Make the key" }).last().click();
      await page.locator("#text").waitFor();
      // (A page may ask before it is left only where somebody did something on it.)
      await page.getByText("This is the only time").click();
      await page.evaluate(() => history.back());
      await page.waitForTimeout(500);
      assert.deepEqual(questions, ["confirm", "beforeunload"]);
      assert.ok(await page.locator("#text").isVisible());
      await context.close();
    });

    test("what the server did not do is told", async () => {
      const { context, page } = await visitor(server);
      const { api_key: key, plain_text_key: text } = await server.makeKey("user", { name: "not suspended" });
      await signIn(page, server);
      await page.goto(`/keys/${key.id}`);
      const trouble = page.locator("#trouble");
      await page.route("**/suspend", (route) => route.abort());
      await page.getByRole("button", { name: "Suspend" }).click();
      await page.getByText("The server does not answer").waitFor();
      await page.unroute("**/suspend");
      await page.route("**/suspend", (route) => route.fulfill({
        status: 503, contentType: "application/problem+json", body: '{"detail": "for programs"}',
      }));
      await page.getByRole("button", { name: "Suspend" }).click();
      await page.getByText("The server did not do it (503)").waitFor();
      assert.ok(!(await page.content()).includes("for programs"));
      await page.unroute("**/suspend");
      assert.equal(await server.codeOf(text), "VALID");
      await page.getByRole("button", { name: "Suspend" }).click();
      await page.getByText("The key is suspended").waitFor();
      assert.equal(await trouble.textContent(), "");
      await context.close();
    });

    for (const scripts of [true, false]) {
      test(`the theme is switched and stays, ${scripts ? "with" : "without"} scripts`, async () => {
        const { context, page } = await visitor(server, { scripts });
        await signIn(page, server);
        await page.goto("/account");
        const ground = () => page.locator("html").evaluate((html) => getComputedStyle(html).backgroundColor);
        const light = scripts ? await ground() : "";
        await page.getByRole("button", { name: "Dark" }).click();
        await page.locator("html[data-theme=dark]").waitFor();
        if (scripts) {
          assert.notEqual(await ground(), light);
          assert.equal(new URL(page.url()).pathname, "/account", "on the same page");
        }
        await page.goto("/keys");
        await page.locator("html[data-theme=dark]").waitFor();
        await page.getByRole("button", { name: "Light" }).click();
        await page.locator("html[data-theme=light]").waitFor();
        await context.close();
      });
    }

    test("what the page of a new key says to try works as it is pasted", async () => {
      const { context, page } = await visitor(server);
      await signIn(page, server);
      await page.goto("/keys/new");
      await page.getByLabel("Name").fill("pasted from");
      await page.getByLabel("User").fill("it's \"ada\"");
      await page.getByRole("button", { name: "Make the key" }).click();
      await page.locator("#text").waitFor();
      const snippets = await page.locator("pre code").allTextContents();
      assert.equal(snippets.length, 3);
      const [curl, python, javascript] = snippets;
      const said = [
        (await run("bash", ["-c", `${curl} --silent`])).stdout,
        (await run("python3", ["-c", python])).stdout,
        (await run("node", ["--input-type=module", "--eval", javascript])).stdout,
      ];
      for (const answer of said) {
        assert.match(answer, /pasted from/);
        assert.match(answer, /ACTIVE/);
      }
      await context.close();
    });

    test("nothing in the browser has the key after its page was left", async () => {
      const { context, page } = await visitor(server);
      await signIn(page, server);
      await page.goto("/keys/new");
      await page.getByLabel("Name").fill("left behind");
      await page.getByLabel("User").fill("ada");
      await page.getByRole("button", { name: "Make the key" }).click();
      const text = await page.locator("#text").textContent();
      await page.getByRole("link", { name: "I have stored it" }).click();
      await page.getByRole("heading", { name: "Verifications" }).waitFor();
      const inspector = await context.newCDPSession(page);
      const { entries } = await inspector.send("Page.getNavigationHistory");
      assert.ok(!JSON.stringify(entries).includes(text), "it is in no address");
      for (const way of ["goBack", "goForward", "reload"]) {
        await page[way]();
        assert.ok(!(await page.content()).includes(text), `not after ${way}`);
      }
      const kept = await page.evaluate(async () => JSON.stringify([
        { ...localStorage }, { ...sessionStorage }, history.state, document.cookie,
        await indexedDB.databases(), typeof caches === "undefined" ? [] : await caches.keys(),
      ]));
      assert.ok(!kept.includes(text), kept);
      const resources = await inspector.send("Page.getResourceTree");
      assert.ok(!JSON.stringify(resources).includes(text));
      await context.close();
    });

    for (const dark of [false, true]) {
      test(`axe-core finds nothing on lists and charts, ${dark ? "dark" : "light"}`, async () => {
        const { context, page } = await visitor(server, { dark });
        const used = await server.makeKey("ada", { name: "mobile app", permissions: ["READ_GRAPH"] });
        for (let time = 0; time < 40; time++) await server.codeOf(used.plain_text_key);
        await server.api("POST", "/api/verify", { key: used.plain_text_key, permissions: ["EXECUTE_BLOCK"] });
        await server.codeOf("agpt_nothing");
        await signIn(page, server);
        await becomes(async () => {
          await page.goto(`/keys/${used.api_key.id}`);
          return page.locator("[data-chart]").count();
        }, 1);
        await page.locator(".uplot canvas").waitFor();
        await looksRight(page, "key-used", dark);
        await page.goto("/overview");
        await page.locator("#live .uplot canvas").waitFor();
        await looksRight(page, "overview", dark);
        await page.goto("/keys?user=ada");
        for (const box of await page.getByRole("checkbox", { name: /^Select (?!all)/ }).all()) await box.check();
        await page.getByRole("button", { name: "Revoke…" }).click();
        await page.getByRole("heading", { name: "Revoke keys" }).waitFor();
        await looksRight(page, "revoke-selected", dark);
        await context.close();
      });
    }
  });
}
