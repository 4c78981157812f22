// A real OpenID provider (oidc-provider) on 127.0.0.1, where whoever names an account is signed in as it; and a door at
// http://localhost, behind which the console is, so that the two are different sites to a browser.
//
// (oidc-provider is of version 8: version 9 needs a newer Node.js than Debian's.)

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { connect, createServer as createDoor } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = createRequire(join(process.env.KEYWRIGHT_NODE_MODULES, "from-here.js"));
const { default: OidcProvider } = await import(pathToFileURL(modules.resolve("oidc-provider")));

export const CLIENT = "keywright";
export const SECRET = randomBytes(32).toString("hex");

/** An address of the console that is known before the server runs. */
export class Door {
  static async open() {
    const door = new Door();
    door.server = createDoor((outside) => {
      const inside = connect(door.leadsTo);
      outside.pipe(inside).pipe(outside);
      for (const socket of [outside, inside]) socket.on("error", () => { outside.destroy(); inside.destroy(); });
    });
    door.base = `http://localhost:${await listening(door.server)}`;
    return door;
  }

  leadTo(base) {
    const { hostname, port } = new URL(base);
    this.leadsTo = { host: hostname, port: Number(port) };
  }

  close() {
    this.server.close();
  }
}

export class Provider {
  /**
   * `accounts` gives the claims of those who can sign in, by what they type. With `inToken`, groups stand in the ID token;
   * else only the userinfo endpoint tells of them, as the standard has it.
   */
  static async start(door, accounts, inToken) {
    const http = createServer();
    const issuer = `http://127.0.0.1:${await listening(http)}`;
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const provider = new OidcProvider(issuer, {
      clients: [{
        client_id: CLIENT,
        client_secret: SECRET,
        redirect_uris: [`${door.base}/sign-in/callback`],
      }],
      claims: { openid: ["sub"], groups: ["groups"] },
      conformIdTokenClaims: !inToken,
      cookies: { keys: [randomBytes(16).toString("hex")] },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "first", use: "sig", alg: "RS256" }] },
      ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, IdToken: 60, Interaction: 600, Session: 600 },
      findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => accounts[id] },
      // Nobody is asked whether the console may know who they are.
      async loadExistingGrant({ oidc }) {
        const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope("openid groups");
        await grant.save();
        return grant;
      },
    });
    const callback = provider.callback();
    http.on("request", (request, response) => {
      const answered = request.url.startsWith("/interaction/")
        ? interaction(provider, request, response)
        : callback(request, response);
      Promise.resolve(answered).catch((error) => response.writeHead(500).end(String(error)));
    });
    return new Provider(http, issuer);
  }

  constructor(http, issuer) {
    Object.assign(this, { http, issuer });
  }

  /** How the server finds it. */
  environment(door) {
    return {
      KEYWRIGHT_PUBLIC_URL: door.base,
      KEYWRIGHT_OIDC_ISSUER: this.issuer,
      KEYWRIGHT_OIDC_CLIENT_ID: CLIENT,
      KEYWRIGHT_OIDC_CLIENT_SECRET: SECRET,
      KEYWRIGHT_OIDC_SCOPE: "groups",
      KEYWRIGHT_ADMIN_GROUP: "key-operators",
    };
  }

  async stop() {
    const closed = new Promise((resolve) => this.http.close(resolve));
    this.http.closeAllConnections();
    await closed;
  }
}

const LOGIN = `<!doctype html><html lang="en"><title>Provider</title><form method="post">
<label>Account <input name="account"></label> <button>Continue</button> <button name="cancel" value="1">Cancel</button></form>`;

async function interaction(provider, request, response) {
  if (request.method === "GET") {
    response.writeHead(200, { "Content-Type": "text/html" }).end(LOGIN);
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const result = form.has("cancel")
    ? { error: "access_denied", error_description: "<script>said by the provider</script>" }
    : { login: { accountId: form.get("account") } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

function listening(server) {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}
