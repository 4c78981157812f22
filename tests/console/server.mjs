// A server of its own for the tests of the console, and what they ask of its API.

import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_LIMIT_MS = 60_000;

export class Server {
  /** `changes` are variables of its environment that differ from the usual. */
  static async start(store, changes = {}) {
    const folder = mkdtempSync(join(tmpdir(), "keywright-console-"));
    const keyFile = join(folder, "admin-key");
    const environment = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("KEYWRIGHT_")),
    );
    Object.assign(environment, {
      KEYWRIGHT_LISTEN: "127.0.0.1:0",
      KEYWRIGHT_DATA_DIR: join(folder, "data"),
      KEYWRIGHT_LOG: "warn",
      KEYWRIGHT_USAGE_INTERVAL: "1s",
    });
    if (store === "postgres") {
      environment.KEYWRIGHT_DATABASE = freshDatabase();
      environment.KEYWRIGHT_JWT_SECRET = randomBytes(32).toString("hex");
    } else {
      environment.KEYWRIGHT_DATABASE = `sqlite:${join(folder, "keywright.db")}`;
    }
    const child = spawn(process.env.KEYWRIGHT, ["serve", "--admin-key-file", keyFile], {
      env: { ...environment, ...changes },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const base = await announced(child);
    return new Server(child, folder, base, readFileSync(keyFile, "utf8").trim());
  }

  constructor(child, folder, base, serviceKey) {
    Object.assign(this, { child, folder, base, serviceKey });
  }

  /** The database, of an embedded one. */
  get file() {
    return join(this.folder, "keywright.db");
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    const status = await ended;
    rmSync(this.folder, { recursive: true, force: true });
    if (status !== 0) throw new Error(`the server ended with ${status}`);
  }

  async api(method, path, body, user) {
    const headers = { Authorization: `Bearer ${this.serviceKey}`, "Content-Type": "application/json" };
    // A header is bytes, which fetch takes as characters.
    if (user) headers["Keywright-User"] = Buffer.from(user).toString("latin1");
    const answer = await fetch(this.base + path, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Ends the sessions of whoever is signed in with the first service key, from another browser. */
  async endSessions() {
    const base = this.base;
    const form = (fields) => ({
      method: "POST",
      redirect: "manual",
      headers: { Origin: base, "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(fields).toString(),
    });
    const signedIn = await fetch(`${base}/sign-in`, form({ key: this.serviceKey }));
    const cookie = signedIn.headers.get("set-cookie").split(";")[0];
    const account = await (await fetch(`${base}/account`, { headers: { Cookie: cookie } })).text();
    const [, csrf] = /name="csrf" value="([^"]+)"/.exec(account);
    const ended = form({ csrf });
    ended.headers.Cookie = cookie;
    const { status } = await fetch(`${base}/account/sign-out-everywhere`, ended);
    if (status !== 303) throw new Error(`sessions were not ended: ${status}`);
  }

  async makeKey(user, wanted) {
    return this.api("POST", "/api/api-keys", { permissions: [], ...wanted }, user);
  }

  async codeOf(key) {
    return (await this.api("POST", "/api/verify", { key })).code;
  }
}

function freshDatabase() {
  const cluster = process.env.KEYWRIGHT_TEST_POSTGRES;
  if (!cluster) throw new Error("KEYWRIGHT_TEST_POSTGRES names no cluster: run this under with-postgres");
  const name = `console_${randomBytes(8).toString("hex")}`;
  const command = `CREATE DATABASE ${name} TEMPLATE template0`;
  execFileSync("psql", ["--no-psqlrc", "--quiet", "--dbname", cluster, "--command", command]);
  return cluster.replace(/^(\w+:\/\/[^/?]+)(\/[^?]*)?/, `$1/${name}`);
}

function announced(child) {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error("the server did not start in time")), START_LIMIT_MS);
    child.once("exit", (status) => reject(new Error(`the server ended with ${status}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = /^listening on (\S+)$/.exec(line);
      if (found) {
        clearTimeout(limit);
        resolve(found[1]);
      }
    });
  });
}
