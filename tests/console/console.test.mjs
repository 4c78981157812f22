// The console in a real browser: every task with scripts and without, on both stores, on a wide screen and a narrow
// one; every page looked through by axe-core in both themes.
//
//   with-postgres env KEYWRIGHT=PATH KEYWRIGHT_NODE_MODULES=PATH node --test tests/console/

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Server } from "./server.mjs";
import { STORES, WIDTHS, fits, looksRight, signIn, visitor } from "./visitor.mjs";

for (const store of STORES) {
  describe(store, () => {
    let server;
    before(async () => { server = await Server.start(store); });
    after(() => server?.stop());

    for (const scripts of [true, false]) {
      for (const width of WIDTHS) {
        test(`a key from its making to its end, ${scripts ? "with" : "without"} scripts, ${width} pixels wide`, async () => {
          const { context, page, complaints } = await visitor(server, { scripts, width });
          await signIn(page, server);

          const name = `walk ${scripts} ${width}`;
          await page.getByRole("link", { name: /^(New key|Make the first key)$/ }).first().click();
          await page.getByLabel("Name").fill(name);
          await page.getByLabel("User").fill("ada");
          await page.getByRole("checkbox", { name: /READ_GRAPH/ }).check();
          await page.getByRole("radio", { name: "30 days" }).check();
          await page.getByRole("button", { name: "Make the key" }).click();

          await page.getByText("This is the only time").waitFor();
          const text = await page.locator("#text").textContent();
          assert.match(text, /^agpt_[0-9A-Za-z]{49}$/);
          assert.equal(await server.codeOf(text), "VALID");

          await page.getByRole("link", { name: "I have stored it" }).click();
          await page.getByRole("heading", { name: "Verifications" }).waitFor();
          assert.ok(!(await page.content()).includes(text), "the key is in no later page");
          if (scripts) {
            // (What answered a form is shown again by no browser: it asks whether to send the form once more.)
            await page.goBack();
            await page.getByRole("heading", { name, exact: true }).waitFor({ state: "detached" });
            assert.ok(!(await page.content()).includes(text), "nor in the one before");
          }
          await page.goto("/keys");
          await page.getByRole("link", { name, exact: true }).click();
          // The list has buttons of the same names.
          await page.getByRole("heading", { name: "Verifications" }).waitFor();

          await page.getByRole("button", { name: "Suspend" }).click();
          await page.getByText("The key is suspended").waitFor();
          assert.equal(await server.codeOf(text), "SUSPENDED");
          await page.getByRole("button", { name: "Reactivate" }).click();
          await page.getByText("The key is active again").waitFor();
          assert.equal(await server.codeOf(text), "VALID");

          await page.getByLabel("Description").fill("what it is for");
          await page.getByRole("button", { name: "Save details" }).click();
          await page.getByText("The key was changed").waitFor();

          await page.getByLabel("To revoke it, type its name").fill("something else");
          await page.getByRole("button", { name: "Revoke" }).click();
          await page.getByText("must be what stands above").waitFor();
          assert.equal(await server.codeOf(text), "VALID");
          await page.getByLabel("To revoke it, type its name").fill(name);
          await page.getByRole("button", { name: "Revoke" }).click();
          await page.getByText("The key is revoked").waitFor();
          assert.equal(await server.codeOf(text), "REVOKED");

          await fits(page);
          await page.getByRole("button", { name: "Sign out" }).click();
          await page.getByLabel("Service key").waitFor();
          // What is refused is answered by 422, which browsers tell their console of.
          assert.deepEqual(complaints.filter((text) => !text.includes("422")), []);
          await context.close();
        });
      }
    }

    test("the page that shows the key asks before it is left, and copies the key", async () => {
      const { context, page } = await visitor(server);
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      await signIn(page, server);
      await page.goto("/keys/new");
      await page.getByLabel("Name").fill("copied");
      await page.getByLabel("User").fill("ada");
      await page.getByRole("button", { name: "Select all" }).click();
      await page.getByRole("button", { name: "Make the key" }).click();
      await page.getByRole("button", { name: "Copy" }).click();
      await page.getByText("Copied.").waitFor();
      const text = await page.locator("#text").textContent();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);

      const questions = [];
      page.once("dialog", (dialog) => { questions.push(dialog.message()); return dialog.dismiss(); });
      await page.getByRole("link", { name: "Account" }).click();
      assert.match(questions[0], /will not be shown again/);
      assert.ok(await page.locator("#text").isVisible(), "who stays still sees it");
      await page.getByRole("link", { name: "I have stored it" }).click();
      await page.getByRole("heading", { name: "Verifications" }).waitFor();
      const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
      assert.ok(!kept.includes(text), "nothing of it is kept in the browser");
      await context.close();
    });

    for (const dark of [false, true]) {
      test(`axe-core finds nothing on any page, ${dark ? "dark" : "light"}`, async () => {
        const { context, page } = await visitor(server, { dark });
        const { api_key: key } = await server.makeKey("ada", {
          name: "a name that is rather long, since people write what they need",
          permissions: ["EXECUTE_GRAPH", "READ_GRAPH", "EXECUTE_BLOCK", "READ_BLOCK"],
          description: "what it is for",
          metadata: { team: "search" },
          expires_at: new Date(Date.now() + 3 * 86_400_000).toISOString(),
        });
        const suspended = await server.makeKey("bob", { name: "nightly export", permissions: ["READ_GRAPH"] });
        await server.api("POST", `/api/api-keys/${suspended.api_key.id}/suspend`);
        await page.goto("/sign-in");
        await looksRight(page, "sign-in", dark);
        await signIn(page, server);
        for (const [name, path] of [
          ["keys", "/keys"],
          ["no-keys", "/keys?user=nobody"],
          ["new-key", "/keys/new"],
          ["key", `/keys/${key.id}`],
          ["account", "/account"],
          ["refusal", "/keys/01a20296-0000-7000-8000-000000000000"],
        ]) {
          await page.goto(path);
          await looksRight(page, name, dark);
        }
        await page.goto("/keys/new");
        await page.getByLabel("Name").fill("seen by axe");
        await page.getByLabel("User").fill("ada");
        await page.getByRole("button", { name: "Make the key" }).click();
        await page.locator("#text").waitFor();
        await looksRight(page, "shown-once", dark);
        await context.close();
      });
    }
  });
}
