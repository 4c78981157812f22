// The console on an ordinary day: every page of it looked through by axe-core in both themes, and small pictures of each
// for the documents where KEYWRIGHT_PICTURES names a folder (scripts/take-pictures).

import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { Server } from "./server.mjs";
import { STORES, fits, looksRight, signIn, visitor } from "./visitor.mjs";

const DAY_MS = 86_400_000;

// crates/store/src/code_number.rs
const [VALID, UNKNOWN, LACKING] = [1, 2, 6];

/** Who uses the API, and with what. */
const KEYS = [
  ["ada", "nightly export", ["READ_GRAPH"], {}, 40],
  ["ada", "mobile app", ["EXECUTE_GRAPH", "READ_GRAPH"], { expires_at: new Date(Date.now() + 3 * DAY_MS).toISOString() }, 900],
  ["auth0|5f7c8ec7c33c6c004bbafe82", "partner portal of Acme, production, read only", ["READ_GRAPH", "READ_BLOCK"], {}, 260],
  ["grace", "CI runner", ["EXECUTE_GRAPH", "READ_GRAPH", "EXECUTE_BLOCK", "READ_BLOCK"], { description: "Runs the graphs of every pull request" }, 520],
  ["grace", "notebook", [], {}, 0],
  ["linus", "load test", ["EXECUTE_BLOCK"], {}, 1500],
];

/**
 * What was counted in the hours before, which no request can make. (The embedded store is a file, which another program
 * may write to; a clock that goes faster would tell nothing else.)
 */
function writeUses(server, keys) {
  const hour = Math.floor(Date.now() / 3_600_000);
  const rows = { key_uses: ["key_id"], keyspace_uses: ["keyspace"] };
  const days = new Set();
  for (let ago = 1; ago < 24; ago++) {
    const at = hour - ago;
    const [day, of] = [Math.floor(at / 24), at % 24];
    days.add(day);
    // More by day than by night.
    const share = 0.55 + 0.45 * Math.sin(((of - 9) / 24) * 2 * Math.PI);
    let all = 0;
    for (const [key, most] of keys) {
      const count = Math.round(most * share * (0.8 + 0.4 * ((of * 7) % 5) / 5));
      if (count === 0) continue;
      all += count;
      rows.key_uses.push(`(${day}, ${of}, ${VALID}, x'${key.id.replaceAll("-", "")}', ${count})`);
      rows.key_uses.push(`(${day}, ${of}, ${LACKING}, x'${key.id.replaceAll("-", "")}', ${Math.ceil(count / 30)})`);
    }
    for (const keyspace of ["*", "default"]) {
      rows.keyspace_uses.push(`(${day}, ${of}, ${VALID}, '${keyspace}', ${all})`);
      rows.keyspace_uses.push(`(${day}, ${of}, ${LACKING}, '${keyspace}', ${Math.ceil(all / 30)})`);
      rows.keyspace_uses.push(`(${day}, ${of}, ${UNKNOWN}, '${keyspace}', ${Math.ceil(all / 45)})`);
    }
  }
  const statements = [...days].map((day) => `INSERT OR IGNORE INTO usage_days (day) VALUES (${day});`);
  for (const [table, [whose, ...values]] of Object.entries(rows)) {
    statements.push(`INSERT INTO ${table} (day, hour, code, ${whose}, count) VALUES ${values.join(", ")};`);
  }
  execFileSync("sqlite3", [server.file], { input: `.timeout 10000\n${statements.join("\n")}` });
}

for (const store of STORES) {
  describe(`an ordinary day on ${store}`, () => {
    let server;
    const made = [];
    before(async () => {
      server = await Server.start(store);
      await server.api("PATCH", "/api/keyspaces/default", {
        description: "Graphs and blocks",
        permissions: [
          { name: "EXECUTE_GRAPH", description: "Run graphs" },
          { name: "READ_GRAPH", description: "See graphs and what they came to" },
          { name: "EXECUTE_BLOCK", description: "Run single blocks" },
          { name: "READ_BLOCK", description: "See the catalogue of blocks" },
        ],
      });
      await server.api("POST", "/api/keyspaces", { name: "live", prefix: "sk_live_", description: "Payments, for back ends", permissions: ["charges:read", "charges:write"] });
      for (const [user, name, permissions, more] of KEYS) {
        made.push(await server.makeKey(user, { name, permissions, ...more }));
      }
      await server.api("POST", `/api/api-keys/${made[5].api_key.id}/suspend`);
      await server.api("DELETE", `/api/api-keys/${made[4].api_key.id}`);
      await server.api("PATCH", `/api/api-keys/${made[3].api_key.id}`, { metadata: { team: "platform" } });
      for (const { plain_text_key: text } of made.slice(0, 4)) {
        for (let time = 0; time < 20; time++) await server.codeOf(text);
      }
      await server.codeOf(made[5].plain_text_key);
      await server.codeOf("agpt_nothing");
      if (store === "sqlite") writeUses(server, made.map(({ api_key: key }, at) => [key, KEYS[at][4]]));
    });
    after(() => server?.stop());

    for (const [dark, width] of [[false, 1280], [true, 1280], [false, 375], [true, 375]]) {
      test(`axe-core finds nothing on any page, ${dark ? "dark" : "light"}, ${width} pixels wide`, async () => {
        const { context, page } = await visitor(server, { dark, width });
        // Small pictures are of wide pages.
        const looked = async (name) => {
          await fits(page);
          await looksRight(page, width < 1000 ? `${name}-narrow` : name, dark, width > 1000);
        };
        await page.goto("/sign-in");
        await looked("sign-in");
        await signIn(page, server);
        const busy = made[3].api_key.id;
        for (const [name, path] of [
          ["overview", "/overview"],
          ["keys", "/keys"],
          ["key", `/keys/${busy}`],
          ["new-key", "/keys/new"],
          ["users", "/users"],
          ["user", "/user?id=grace"],
          ["keyspaces", "/keyspaces"],
          ["keyspace", "/keyspaces/default"],
          ["new-keyspace", "/new-keyspace"],
          ["service-keys", "/service-keys"],
          ["new-service-key", "/service-keys/new"],
          ["audit", "/audit"],
          ["cluster", "/cluster"],
          ["account", "/account"],
        ]) {
          await page.goto(path);
          for (const chart of await page.locator("[data-chart]").all()) await chart.locator(".uplot canvas").waitFor();
          await looked(name);
        }
        await page.goto("/keys/new");
        await page.getByLabel("Name").fill("deployment");
        await page.getByLabel("User").fill("grace");
        await page.getByRole("button", { name: "Make the key" }).first().click();
        await page.locator("#text").waitFor();
        await looked("shown-once");
        await context.close();
      });
    }
  });
}
