// Every task of the console by keyboard alone: each place is reached with Tab, focus is seen wherever it is, and is not lost
// when a page changes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Server } from "./server.mjs";
import { STORES, visitor } from "./visitor.mjs";

const FARTHEST = 150;

/** Somebody who has no mouse. */
class Typist {
  constructor(page) {
    this.page = page;
  }

  /** Tab after Tab, until this has the focus. */
  async reach(target) {
    await target.waitFor();
    for (let presses = 0; presses < FARTHEST; presses++) {
      if (await target.evaluate((element) => element === document.activeElement)) return;
      await this.page.keyboard.press("Tab");
      const [what, style, width] = await this.page.evaluate(() => {
        const element = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        return [element.outerHTML.slice(0, 200), outlineStyle, parseFloat(outlineWidth)];
      });
      const isPage = what.startsWith("<body") || what.startsWith("<html");
      assert.ok(isPage || (style !== "none" && width >= 2), `focus is not seen at ${what}`);
    }
    assert.fail(`${target} is not reached`);
  }

  async press(target, key = "Enter") {
    await this.reach(target);
    await this.page.keyboard.press(key);
  }

  async type(target, text) {
    await this.reach(target);
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.type(text);
  }

  /** The page has this heading now, and whoever tabs goes on within it. */
  async arrives(name) {
    await this.page.getByRole("heading", { name, exact: true, level: 1 }).waitFor();
    await this.page.waitForFunction(() => {
      const main = document.querySelector("main");
      return main.contains(document.activeElement);
    });
  }
}

for (const store of STORES) {
  describe(`by keyboard on ${store}`, () => {
    let server;
    before(async () => { server = await Server.start(store); });
    after(() => server?.stop());

    const typing = (what, task) => test(what, async () => {
      const { context, page, complaints } = await visitor(server);
      const typist = new Typist(page);
      const by = (role, name) => page.getByRole(role, { name, exact: true });
      await page.goto("/sign-in");
      await typist.type(page.getByLabel("Service key"), server.serviceKey);
      await page.keyboard.press("Enter");
      await by("heading", "Keys").waitFor();
      await task({ page, typist, by });
      assert.deepEqual(complaints, []);
      await context.close();
    });

    typing("a key from its making to its end", async ({ page, typist, by }) => {
      await typist.press(page.getByRole("link", { name: /^(New key|Make the first key)$/ }).first());
      await typist.arrives("New key");
      await typist.type(by("textbox", "Name"), "by keyboard");
      await typist.type(by("textbox", "User"), "typist");
      await typist.press(page.getByRole("checkbox", { name: /READ_GRAPH/ }), "Space");
      await typist.press(by("button", "Make the key").last());
      // This one page is loaded anew, so that it can ask before it is left.
      await by("heading", "by keyboard").waitFor();
      const text = await page.locator("#text").textContent();
      await typist.press(by("link", "I have stored it"));
      await by("heading", "Verifications").waitFor();

      await typist.press(by("button", "Suspend"));
      await page.getByText("The key is suspended").waitFor();
      assert.equal(await server.codeOf(text), "SUSPENDED");
      await typist.arrives("by keyboard");
      await typist.press(by("button", "Reactivate"));
      await page.getByText("The key is active again").waitFor();

      await typist.press(page.getByRole("checkbox", { name: /EXECUTE_GRAPH/ }), "Space");
      await typist.press(by("button", "Replace permissions"));
      await page.getByText("The key was changed").waitFor();
      await typist.type(by("textbox", "Name"), "renamed");
      await typist.press(by("button", "Save details"));
      await typist.arrives("renamed");
      await typist.press(by("link", "7 days"));
      await page.waitForURL(/over=7d/);

      await typist.type(page.getByLabel("To revoke it, type its name"), "renamed");
      await page.keyboard.press("Enter");
      await page.getByText("The key is revoked").waitFor();
      assert.equal(await server.codeOf(text), "REVOKED");
      await typist.arrives("renamed");
    });

    typing("keys are found, ticked, suspended and revoked together", async ({ page, typist, by }) => {
      const texts = [];
      for (const name of ["first ticked", "second ticked"]) {
        texts.push((await server.makeKey("ticker", { name })).plain_text_key);
      }
      await typist.type(by("textbox", "User"), "ticker");
      await page.keyboard.press("Enter");
      await page.waitForURL(/user=ticker/);
      await typist.arrives("Keys");
      await typist.press(page.getByRole("checkbox", { name: "Select first ticked" }), "Space");
      await typist.press(by("button", "Suspend"));
      await page.getByText("1 key is suspended").waitFor();
      assert.equal(await server.codeOf(texts[0]), "SUSPENDED");
      await typist.arrives("Keys");
      await typist.press(page.getByRole("checkbox", { name: "Select all on this page" }), "Space");
      await typist.press(by("button", "Revoke…"));
      await typist.arrives("Revoke keys");
      await typist.type(page.getByLabel("To revoke all 2"), "revoke 2");
      await page.keyboard.press("Enter");
      await page.getByText("2 keys are revoked").waitFor();
      for (const text of texts) assert.equal(await server.codeOf(text), "REVOKED");
    });

    typing("what operators do", async ({ page, typist, by }) => {
      await server.makeKey("leaver", { name: "left" });
      await typist.press(by("link", "Overview"));
      await typist.arrives("Overview");
      await typist.press(page.getByText("As a table").first());

      await typist.press(by("link", "Keyspaces"));
      await typist.arrives("Keyspaces");
      await typist.press(by("link", "New keyspace"));
      await typist.arrives("New keyspace");
      await typist.type(by("textbox", "Name"), "typed");
      await typist.type(page.getByLabel("Prefix"), "typed_");
      await typist.type(page.getByLabel("Permissions"), "see See it");
      await typist.press(by("button", "Make the keyspace"));
      await typist.arrives("typed");
      await typist.type(page.getByLabel("One a line"), "touch Touch it");
      await typist.press(by("button", "Add them"));
      await page.getByText("touch", { exact: true }).waitFor();

      await typist.press(by("link", "Service keys"));
      await typist.arrives("Service keys");
      await typist.press(by("link", "New service key"));
      await typist.arrives("New service key");
      await typist.type(by("textbox", "Name"), "gateway");
      await typist.press(page.getByRole("checkbox", { name: /keys:verify/ }), "Space");
      await typist.press(by("button", "Make the key").last());
      await by("heading", "gateway").waitFor();
      await typist.press(by("link", "I have stored it"));
      await by("heading", "Verifications").waitFor();

      await typist.press(by("link", "Users"));
      await typist.arrives("Users");
      await typist.type(page.getByLabel("Id begins with"), "leav");
      await page.keyboard.press("Enter");
      await page.waitForURL(/leav/);
      await typist.press(by("link", "leaver"));
      await typist.arrives("leaver");
      await typist.type(page.getByLabel("To delete the user, type the id"), "leaver");
      await page.keyboard.press("Enter");
      await page.getByText("The user is deleted").waitFor();

      await typist.press(by("link", "Audit"));
      await typist.arrives("Audit log");
      await typist.type(by("textbox", "User"), "leaver");
      await page.keyboard.press("Enter");
      await page.waitForURL(/leaver/);
      await page.getByRole("table").getByText("user.deleted").waitFor();
      await typist.press(by("link", "Cluster"));
      await typist.arrives("Cluster");
      await typist.press(by("link", "Account"));
      await typist.arrives("Account");
      await typist.press(by("button", "Sign out everywhere"));
      await page.getByLabel("Service key").waitFor();
    });
  });
}
