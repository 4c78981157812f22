// Signing in to the console with an identity provider, in a real browser, with a real provider on another site; and
// what becomes of those who bring something else than they were given.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Door, Provider } from "./provider.mjs";
import { Server } from "./server.mjs";
import { STORES, fits, looksRight, visitor } from "./visitor.mjs";
import { Wire } from "./wire.mjs";

const SESSION = "keywright_session";
const FLOW = "keywright_sign_in";
const MARKUP = `"'><script>window.hit=1</script><img src=x onerror=window.hit=1>`;

const ACCOUNTS = {
  ada: { sub: "ada" },
  bob: { sub: "bob", groups: ["staff"] },
  olga: { sub: "olga", groups: ["staff", "key-operators"] },
  markup: { sub: MARKUP },
  long: { sub: "x".repeat(256) },
};

for (const store of STORES) {
  describe(store, () => {
    let door, provider, server;
    before(async () => {
      door = await Door.open();
      // By the ID token on the one, by the userinfo endpoint on the other.
      provider = await Provider.start(door, ACCOUNTS, store === "sqlite");
      server = await Server.start(store, provider.environment(door));
      door.leadTo(server.base);
    });
    after(async () => {
      await server?.stop();
      await provider?.stop();
      door?.close();
    });

    /** From the page for it to the page after it. */
    async function signIn(page, account) {
      await page.getByRole("link", { name: "Sign in with 127.0.0.1" }).click();
      await page.getByLabel("Account").fill(account);
      await page.getByRole("button", { name: "Continue" }).click();
      await isIn(page, account);
    }

    const isIn = (page, account) => page.locator(".who", { hasText: ACCOUNTS[account].sub }).waitFor();

    /** Somebody who is signed in. */
    async function signedIn(account, how) {
      const someone = await visitor(door, how);
      await someone.page.goto("/sign-in");
      await signIn(someone.page, account);
      return someone;
    }

    const session = async (context) =>
      (await context.cookies(door.base)).find(({ name }) => name === SESSION)?.value;

    for (const [scripts, width] of [[true, 1280], [true, 375], [false, 1280], [false, 375]]) {
      test(`a user signs in, comes back, and manages an own key, ${scripts ? "with" : "without"} scripts, ${width} pixels wide`, async () => {
        const { context, page, complaints } = await visitor(door, { scripts, width });
        await page.goto("/keys/new?keyspace=default");
        await signIn(page, "ada");
        assert.equal(page.url(), `${door.base}/keys/new?keyspace=default`);
        assert.equal(await page.getByLabel("User").count(), 0, "it is an own key");
        const name = `own ${scripts} ${width}`;
        await page.getByLabel("Name").fill(name);
        await page.getByRole("checkbox", { name: /READ_GRAPH/ }).check();
        await page.getByRole("button", { name: "Make the key" }).click();
        await page.getByText("This is the only time").waitFor();
        const text = await page.locator("#text").textContent();
        assert.equal(await server.codeOf(text), "VALID");
        const curl = await page.locator("#curl").textContent();
        assert.ok(curl.startsWith(`curl ${door.base}/api/whoami`), curl);
        await page.getByRole("link", { name: "I have stored it" }).click();
        await page.getByText("by you in the console").waitFor();
        await fits(page);

        const { api_key: bobs } = await server.makeKey("bob", { name: "bob's key" });
        await page.goto("/keys");
        await page.getByRole("link", { name, exact: true }).waitFor();
        assert.equal(await page.getByText("bob's key").count(), 0);
        await page.goto("/keys?user=bob");
        assert.equal(await page.getByText("bob's key").count(), 0);
        assert.equal((await page.goto(`/keys/${bobs.id}`)).status(), 404);

        await page.goto("/keys");
        await page.getByRole("link", { name, exact: true }).click();
        await page.getByLabel("To revoke it, type its name").fill(name);
        await page.getByRole("button", { name: "Revoke" }).click();
        await page.getByText("The key is revoked").waitFor();
        assert.equal(await server.codeOf(text), "REVOKED");
        assert.deepEqual(complaints.filter((text) => !text.includes("404")), []);
        await context.close();
      });
    }

    test("a member of the admin group is an operator, and others are none", async () => {
      const { api_key: key } = await server.makeKey("ada", { name: "looked after" });
      const olga = await signedIn("olga");
      await olga.page.getByText("operator", { exact: true }).waitFor();
      await olga.page.goto(`/keys/${key.id}`);
      await olga.page.getByRole("button", { name: "Suspend" }).click();
      await olga.page.getByText("The key is suspended").waitFor();
      await olga.context.close();
      const [entry] = await server.api("GET", `/api/audit?key_id=${key.id}&action=api_key.suspended`);
      assert.deepEqual(entry?.actor, { kind: "console", id: "olga" });
      const ada = await signedIn("ada");
      await ada.page.goto(`/keys/${key.id}`);
      await ada.page.getByText("by an operator").waitFor();
      assert.ok(!(await ada.page.content()).includes("olga"));
      await ada.context.close();
      const bob = await signedIn("bob");
      assert.equal(await bob.page.getByText("operator", { exact: true }).count(), 0);
      await bob.context.close();
    });

    test("who cancels at the provider is told so, and in our words", async () => {
      const { context, page } = await visitor(door);
      await page.goto("/account");
      await page.getByRole("link", { name: "Sign in with 127.0.0.1" }).click();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByText("You are not signed in: access was denied").waitFor();
      assert.ok(!(await page.content()).includes("said by the provider"));
      assert.deepEqual((await context.cookies(door.base)).map(({ name }) => name), []);
      // And may think better of it, and still comes where they wanted.
      await signIn(page, "ada");
      assert.equal(page.url(), `${door.base}/account`);
      await context.close();
    });

    test("an id is shown as the text that it is, and one that is too long is refused", async () => {
      const { context, page, complaints } = await signedIn("markup");
      const { api_key: key } = await server.makeKey(MARKUP, { name: MARKUP, description: MARKUP });
      for (const path of ["/keys", "/keys/new", "/account", `/keys/${key.id}`]) {
        await page.goto(path);
        assert.equal(await page.locator(".who").textContent(), MARKUP, path);
        assert.equal(await page.evaluate(() => globalThis.hit), undefined, path);
        assert.equal(await page.locator("img").count(), 0, path);
      }
      assert.deepEqual(complaints, [], "nothing was to be kept from running");
      await context.close();
      const olga = await signedIn("olga");
      for (const path of ["/keys", `/keys/${key.id}`, `/keys?user=${encodeURIComponent(MARKUP)}`]) {
        await olga.page.goto(path);
        assert.equal(await olga.page.evaluate(() => globalThis.hit), undefined, path);
      }
      assert.deepEqual(olga.complaints, []);
      await olga.context.close();

      const wire = new Wire();
      const refused = await wire.ask(await wire.callback(door.base, "long"));
      assert.equal(refused.status, 403);
      assert.match(refused.html, /must have 1 to 255 characters/);
      assert.equal(wire.cookies(door.base)[SESSION], undefined);
    });

    test("an answer is good once, in the browser that asked for it, as it was asked for", async () => {
      const signsNobodyIn = async (wire, url, why) => {
        const { status, html } = await wire.ask(url);
        assert.equal(status, 403, why);
        assert.match(html, /You are not signed in: /, why);
        assert.equal(wire.cookies(door.base)[SESSION], undefined, why);
        assert.equal(wire.cookies(door.base)[FLOW], undefined, why);
      };
      const changed = (text) => (text.startsWith("A") ? "B" : "A") + text.slice(1);
      for (const [part, why] of ["another state", "another nonce", "another verifier"].entries()) {
        const wire = new Wire();
        const url = await wire.callback(door.base, "ada");
        const cookies = wire.cookies(door.base);
        const parts = cookies[FLOW].split(".");
        parts[part] = changed(parts[part]);
        cookies[FLOW] = parts.join(".");
        await signsNobodyIn(wire, url, why);
      }
      const victim = new Wire();
      await signsNobodyIn(victim, await new Wire().callback(door.base, "ada"), "another browser's");

      const ada = new Wire();
      const url = await ada.callback(door.base, "ada");
      const kept = ada.cookies(door.base)[FLOW];
      assert.equal((await ada.ask(url)).to, `${door.base}/keys`);
      assert.equal(ada.cookies(door.base)[FLOW], undefined, "it is over");
      const thief = new Wire();
      thief.cookies(door.base)[FLOW] = kept;
      await signsNobodyIn(thief, url, "a code that was used, and all that belongs to it");
    });

    test("nobody is led elsewhere after they signed in", async () => {
      for (const elsewhere of ["https://evil.example/", "//evil.example/", "/\\evil.example/", "/\t/evil.example/"]) {
        const wire = new Wire();
        const { to } = await wire.ask(await wire.callback(door.base, "ada", elsewhere));
        assert.equal(to, `${door.base}/keys`, elsewhere);
      }
      const wire = new Wire();
      const url = await wire.callback(door.base, "ada");
      wire.cookies(door.base)[FLOW] += Buffer.from("//evil.example/").toString("base64url");
      assert.equal((await wire.ask(url)).to, `${door.base}/keys`, "by a cookie");
    });

    test("a session that somebody planted is not the one that begins", async () => {
      const { context, page } = await visitor(door);
      const planted = "A".repeat(43);
      await context.addCookies([{ name: SESSION, value: planted, url: door.base }]);
      await page.goto("/keys");
      await signIn(page, "ada");
      const begun = await session(context);
      assert.match(begun, /^[\w-]{43}$/);
      assert.notEqual(begun, planted);
      const attacker = new Wire();
      attacker.cookies(door.base)[SESSION] = planted;
      assert.match((await attacker.ask(`${door.base}/keys`)).to, /\/sign-in$/);
      await context.close();
    });

    test("a stolen cookie is worth nothing after its owner signed out, here or everywhere", async () => {
      const here = await signedIn("ada");
      const there = await signedIn("ada");
      const thief = new Wire();
      const steal = async (from) => { thief.cookies(door.base)[SESSION] = await session(from.context); };
      const isGood = async () => (await thief.ask(`${door.base}/keys`)).status === 200;
      await steal(here);
      assert.ok(await isGood());
      await here.page.getByRole("button", { name: "Sign out" }).click();
      await here.page.getByRole("link", { name: "Sign in with 127.0.0.1" }).waitFor();
      assert.ok(!(await isGood()), "signed out");
      assert.equal(await session(here.context), undefined);
      await steal(there);
      assert.ok(await isGood(), "the other session goes on");
      // (The provider still knows her.)
      await here.page.getByRole("link", { name: "Sign in with 127.0.0.1" }).click();
      await isIn(here.page, "ada");
      await here.page.goto("/account");
      await here.page.getByRole("button", { name: "Sign out everywhere" }).click();
      await here.page.getByRole("link", { name: "Sign in with 127.0.0.1" }).waitFor();
      assert.ok(!(await isGood()), "signed out everywhere");
      await there.page.goto("/keys");
      await there.page.getByRole("link", { name: "Sign in with 127.0.0.1" }).waitFor();
      await here.context.close();
      await there.context.close();
    });

    test("a service key signs in beside it", async () => {
      const { context, page } = await visitor(door);
      await page.goto("/sign-in");
      await page.getByText("Sign in with a service key").click();
      await page.getByLabel("Service key").fill(server.serviceKey);
      await page.getByRole("button", { name: "Sign in with the key" }).click();
      await page.getByText("operator", { exact: true }).waitFor();
      await context.close();
    });

    for (const [dark, width] of [[false, 1280], [true, 1280], [false, 375], [true, 375]]) {
      test(`axe-core finds nothing where a user signs in and goes, ${dark ? "dark" : "light"}, ${width} pixels wide`, async () => {
        const { context, page } = await visitor(door, { dark, width });
        await page.goto("/sign-in");
        await looksRight(page, "sign-in-by-provider", dark);
        await page.getByText("Sign in with a service key").click();
        await looksRight(page, "sign-in-by-provider-or-key", dark);
        await page.goto("/sign-in/callback?error=access_denied");
        await looksRight(page, "sign-in-failed", dark);
        // And a user's own pages.
        await page.goto("/sign-in");
        await signIn(page, "bob");
        const { api_key: own } = await server.makeKey("bob", { name: "looked at", permissions: ["READ_GRAPH"] });
        for (const [name, path] of [["keys", "/keys"], ["new-key", "/keys/new"], ["key", `/keys/${own.id}`], ["account", "/account"]]) {
          await page.goto(path);
          await fits(page);
          await looksRight(page, `own-${name}-${width}`, dark);
        }
        await context.close();
      });
    }

    test("a provider that is down is said to be, and the key still signs in", async () => {
      const gone = await Provider.start(door, ACCOUNTS, true);
      await gone.stop();
      const other = await Server.start(store, { ...gone.environment(door), KEYWRIGHT_LOG: "error" });
      const { context, page } = await visitor(door);
      door.leadTo(other.base);
      try {
        await page.goto("/account");
        await page.getByRole("link", { name: "Sign in with 127.0.0.1" }).click();
        await page.getByText("the identity provider 127.0.0.1 cannot be reached now").waitFor();
        await page.getByText("Sign in with a service key").click();
        await page.getByLabel("Service key").fill(other.serviceKey);
        await page.getByRole("button", { name: "Sign in with the key" }).click();
        await page.waitForURL(`${door.base}/account`);
      } finally {
        door.leadTo(server.base);
        await context.close();
        await other.stop();
      }
    });
  });
}
