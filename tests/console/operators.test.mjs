// The pages of operators in a real browser: every task with scripts and without, on both stores, on a wide screen and a
// narrow one; every page looked through by axe-core in both themes and widths.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { Server } from "./server.mjs";
import { STORES, WIDTHS, fits, looksRight, signIn, visitor } from "./visitor.mjs";

const LONG = "auth0|5f7c8ec7c33c6c004bbafe82-with-a-tail-that-somebody-s-identity-provider-found-necessary-to-append";

for (const store of STORES) {
  describe(store, () => {
    let server;
    before(async () => { server = await Server.start(store); });
    after(() => server?.stop());

    for (const scripts of [true, false]) {
      for (const width of WIDTHS) {
        const how = `${scripts ? "with" : "without"} scripts, ${width} pixels wide`;
        const mark = `${scripts ? "s" : "n"}${width}`;

        /** Somebody who does something, of whom the browser has nothing to complain. */
        const walk = (what, task) => test(`${what}, ${how}`, async () => {
          const { context, page, complaints } = await visitor(server, { scripts, width });
          await signIn(page, server);
          await task(page);
          // What is refused is answered by 4xx, which browsers tell their console of.
          assert.deepEqual(complaints.filter((text) => !/ (403|409|422) /.test(text)), []);
          await context.close();
        });

        walk("a user is found, looked at and deleted", async (page) => {
          const id = `${mark}/who?a#b%20é .. <b>`;
          const { plain_text_key: text } = await server.makeKey(id, { name: "nightly export" });
          await server.makeKey(id, { name: "another" });
          await page.getByRole("link", { name: "Users", exact: true }).click();
          await page.getByLabel("Id begins with").fill(`${mark}/who?a#b%20`);
          await page.getByRole("button", { name: "Search" }).click();
          await page.getByRole("link", { name: id, exact: true }).click();
          await page.getByRole("heading", { name: id, exact: true }).waitFor();
          await page.getByRole("link", { name: "nightly export" }).waitFor();
          await page.getByText("Their 2 keys go").waitFor();
          await fits(page);
          const confirm = page.getByLabel("To delete the user, type the id");
          await confirm.fill("somebody else");
          await page.getByRole("button", { name: "Delete" }).click();
          await page.getByText("must be the id of the user").waitFor();
          assert.equal(await confirm.inputValue(), "somebody else");
          assert.equal(await server.codeOf(text), "VALID");
          await confirm.fill(id);
          await page.getByRole("button", { name: "Delete" }).click();
          await page.getByText("The user is deleted").waitFor();
          assert.equal(await server.codeOf(text), "NOT_FOUND");
          await fits(page);
        });

        walk("a keyspace is made, described and extended", async (page) => {
          await page.getByRole("link", { name: "Keyspaces", exact: true }).click();
          await fits(page);
          await page.getByRole("link", { name: "New keyspace" }).click();
          await page.getByLabel("Name").fill(`space-${mark}`);
          await page.getByLabel("Prefix").fill("agpt_more_");
          await page.getByLabel("Self-service").check();
          await page.getByLabel("Permissions").fill("invoices:read See invoices\nrefunds:write");
          await page.getByRole("button", { name: "Make the keyspace" }).click();
          await page.getByText("the prefix begins with that of the keyspace default").waitFor();
          assert.equal(await page.getByLabel("Permissions").inputValue(), "invoices:read See invoices\nrefunds:write");
          assert.ok(await page.getByLabel("Self-service").isChecked());
          await fits(page);
          await page.getByLabel("Prefix").fill(`${mark}_`);
          await page.getByRole("button", { name: "Make the keyspace" }).click();
          await page.getByText("The keyspace is made.").waitFor();

          assert.equal(await page.getByLabel("invoices:read").inputValue(), "See invoices");
          await page.getByLabel("refunds:write").fill("Give money back");
          await page.getByRole("button", { name: "Save descriptions" }).click();
          await page.getByText("The permissions are described so now.").waitFor();
          assert.equal(await page.getByLabel("refunds:write").inputValue(), "Give money back");

          await page.getByLabel("One a line").fill("good:one It is\n!");
          await page.getByRole("button", { name: "Add them" }).click();
          await page.getByText("Line 2: ! must match").waitFor();
          await page.getByLabel("One a line").fill("good:one It is");
          await page.getByRole("button", { name: "Add them" }).click();
          await page.getByText("The permissions are in the catalogue").waitFor();

          await page.getByLabel("Description").fill("what is sold");
          await page.getByLabel("Self-service").uncheck();
          await page.getByRole("button", { name: "Save details" }).click();
          await page.getByText("The keyspace was changed.").waitFor();
          await fits(page);
          const made = await server.api("GET", `/api/keyspaces/space-${mark}`);
          assert.deepEqual([made.description, made.self_service], ["what is sold", false]);
          assert.deepEqual(made.permissions, [
            { name: "invoices:read", description: "See invoices" },
            { name: "refunds:write", description: "Give money back" },
            { name: "good:one", description: "It is" },
          ]);
          await page.getByRole("link", { name: "New key in it" }).click();
          await page.getByRole("checkbox", { name: /refunds:write/ }).waitFor();
        });

        walk("a service key is made, tried as the page says, and revoked", async (page) => {
          const name = `gateway ${mark}`;
          await page.getByRole("link", { name: "Service keys", exact: true }).click();
          await page.getByText("You are signed in with it").waitFor();
          await fits(page);
          await page.getByRole("link", { name: "New service key" }).click();
          await page.getByLabel("Name").fill(name);
          await page.getByRole("checkbox", { name: /keys:verify/ }).check();
          await fits(page);
          await page.getByRole("button", { name: "Make the key" }).click();
          await page.getByText("This is the only time").waitFor();
          const text = await page.locator("#text").textContent();
          assert.match(text, /^kw_[0-9A-Za-z]{49}$/);
          await fits(page);
          // As somebody pastes it into a terminal.
          const answer = execFileSync("bash", ["-c", await page.locator("#curl").textContent()], { stdio: ["ignore", "pipe", "ignore"] });
          assert.deepEqual(JSON.parse(answer), { valid: false, code: "NOT_FOUND" });

          await page.getByRole("link", { name: "I have stored it" }).click();
          await page.getByLabel("To revoke it, type its name").fill(name);
          await page.getByRole("button", { name: "Revoke" }).click();
          await page.getByText("The key is revoked").waitFor();
          await page.goto("/service-keys");
          assert.ok(!(await page.content()).includes(text), "the key is in no later page");
          await page.getByRole("row", { name }).getByText("Revoked").waitFor();
          assert.equal((await fetch(`${server.base}/api/whoami`, { headers: { "X-API-Key": text } })).status, 401);
        });

        walk("the audit log is looked through and kept", async (page) => {
          const user = `audited ${mark}`;
          const { api_key: key } = await server.makeKey(user, { name: "nightly export" });
          await server.api("POST", `/api/api-keys/${key.id}/suspend`);
          await page.getByRole("link", { name: "Audit", exact: true }).click();
          await page.getByLabel("From", { exact: true }).fill("yesterday");
          await page.getByLabel("User", { exact: true }).fill(user);
          await page.getByRole("button", { name: "Show" }).click();
          await page.getByText(/RFC 3339/).first().waitFor();
          assert.equal(await page.getByLabel("User", { exact: true }).inputValue(), user);
          await page.getByLabel("From", { exact: true }).fill("2020-01-01");
          await page.getByRole("button", { name: "Show" }).click();
          await page.getByRole("row", { name: /api_key\.created/ }).waitFor();
          await page.getByLabel("Action").selectOption("api_key.suspended");
          await page.getByRole("button", { name: "Show" }).click();
          await page.getByRole("row", { name: /api_key\.created/ }).waitFor({ state: "detached" });
          await page.getByText("Details").click();
          await page.getByText('"status": "SUSPENDED"').waitFor();
          await fits(page);

          for (const [link, file] of [["CSV", "keywright-audit.csv"], ["JSON lines", "keywright-audit.ndjson"]]) {
            const [download] = await Promise.all([
              page.waitForEvent("download"),
              page.getByRole("link", { name: link }).click(),
            ]);
            assert.equal(download.suggestedFilename(), file);
            const lines = readFileSync(await download.path(), "utf8").trimEnd().split(/\r?\n/);
            assert.equal(lines.length, file.endsWith(".csv") ? 2 : 1);
            assert.ok(lines.at(-1).includes(key.id) && lines.at(-1).includes("api_key.suspended"));
          }
          await page.getByRole("link", { name: key.id }).click();
          await page.getByRole("heading", { name: "nightly export" }).waitFor();
        });

        walk("the nodes are seen", async (page) => {
          await page.getByRole("link", { name: "Cluster", exact: true }).click();
          await page.getByRole("row", { name: /this one/ }).waitFor();
          const alone = page.getByText("This is the only node.");
          assert.equal(await alone.count(), store === "sqlite" ? 1 : 0);
          await fits(page);
        });
      }
    }

    test("a keyspace is made by keyboard alone, and focus is always seen", async () => {
      const { context, page } = await visitor(server);
      await signIn(page, server);
      await page.goto("/new-keyspace");
      const to = async (id) => {
        for (let presses = 0; presses < 40; presses++) {
          await page.keyboard.press("Tab");
          const [at, style, width] = await page.evaluate(() => {
            const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
            return [document.activeElement.id || document.activeElement.name, outlineStyle, parseFloat(outlineWidth)];
          });
          assert.ok(style !== "none" && width >= 2, `focus is not seen at ${at}`);
          if (at === id) return;
        }
        assert.fail(`${id} is not reached`);
      };
      await to("name");
      await page.keyboard.type("by-keyboard");
      await to("prefix");
      await page.keyboard.type("kb_");
      await to("self_service");
      await page.keyboard.press("Space");
      await to("permissions");
      await page.keyboard.type("read See");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.getByText("The keyspace is made.").waitFor();
      const made = await server.api("GET", "/api/keyspaces/by-keyboard");
      assert.equal(made.self_service, true);
      await context.close();
    });

    for (const dark of [false, true]) {
      for (const width of WIDTHS) {
        test(`axe-core finds nothing on any page of operators, ${dark ? "dark" : "light"}, ${width} pixels wide`, async () => {
          const { context, page } = await visitor(server, { dark, width });
          const permissions = ["EXECUTE_GRAPH", "READ_GRAPH"];
          const { plain_text_key: text } = await server.makeKey(LONG, { name: "a name that is rather long, since people write what they need", permissions });
          for (const user of ["ada", "bob", "grace"]) await server.makeKey(user, { name: "nightly export" });
          await server.codeOf(text);
          await server.api("POST", "/api/keyspaces", {
            name: "live", prefix: "sk_live_", description: "What customers call", permissions: [
              { name: "invoices:read", description: "See invoices, and who paid them" },
              { name: "a-permission-of-a-name.that-is_as-long-as:names-may-ever-be-so", description: "x".repeat(200) },
              "refunds:write",
            ],
          }).catch(() => {});
          await signIn(page, server);
          // What was counted is there within a second.
          await page.waitForTimeout(1500);
          for (const [name, path] of [
            ["users", "/users"],
            ["no-users", "/users?start=nobody"],
            ["user", `/user?id=${encodeURIComponent(LONG)}`],
            ["keyspaces", "/keyspaces"],
            ["new-keyspace", "/new-keyspace"],
            ["keyspace", "/keyspaces/live"],
            ["keyspace-used", "/keyspaces/default"],
            ["built-in", "/keyspaces/keywright"],
            ["service-keys", "/service-keys"],
            ["new-service-key", "/service-keys/new"],
            ["audit", "/audit"],
            ["no-audit", "/audit?actor=nobody"],
            ["audit-refused", "/audit?from=yesterday&key=1"],
            ["cluster", "/cluster"],
          ]) {
            await page.goto(path);
            await fits(page);
            const looked = async (name) => looksRight(page, width < 1000 ? `${name}-narrow` : name, dark);
            await looked(name);
            if (name === "audit") {
              await page.getByText("Details").first().click();
              await looked("audit-open");
            }
            if (name === "user") {
              await page.getByLabel("To delete the user").fill("somebody");
              await page.getByRole("button", { name: "Delete" }).click();
              await page.getByText("must be the id of the user").waitFor();
              await looked("user-refused");
            }
            if (name === "new-keyspace") {
              await page.getByLabel("Name").fill("default");
              await page.getByLabel("Prefix").fill("mine_");
              await page.getByRole("button", { name: "Make the keyspace" }).click();
              await page.getByText("there is a keyspace of this name").waitFor();
              await looked("new-keyspace-refused");
            }
            if (name === "new-service-key") {
              await page.getByLabel("Name").fill("gateway");
              await page.getByRole("checkbox", { name: /keys:verify/ }).check();
              await page.getByRole("button", { name: "Make the key" }).click();
              await page.locator("#text").waitFor();
              await looked("service-key-shown-once");
            }
          }
          await context.close();
        });
      }
    }
  });
}
