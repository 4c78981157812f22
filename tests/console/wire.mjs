// A browser of few words, whose user sees every request and can write its cookies.

export class Wire {
  jars = {};

  cookies(url) {
    // (By host alone, as browsers keep them: ports share.)
    return (this.jars[new URL(url).hostname] ??= {});
  }

  async ask(url, { method = "GET", form } = {}) {
    const jar = this.cookies(url);
    const headers = { Cookie: Object.entries(jar).map(([name, value]) => `${name}=${value}`).join("; ") };
    if (form) headers.Origin = new URL(url).origin;
    const body = form && new URLSearchParams(form);
    const answer = await fetch(url, { method, headers, body, redirect: "manual" });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (/max-age=0(;|$)/i.test(cookie) || /expires=Thu, 01 Jan 1970/i.test(cookie)) delete jar[name];
      else jar[name] = value;
    }
    const to = answer.headers.get("location");
    return { status: answer.status, to: to && new URL(to, url).href, html: await answer.text() };
  }

  /** Signs in at the provider as `account`; gives the address that it sends the browser back to. */
  async callback(base, account, next = "") {
    const back = `${base}/sign-in/callback`;
    let { to } = await this.ask(`${base}/sign-in/provider?${new URLSearchParams({ next })}`);
    while (!to.startsWith(back)) {
      const form = to.includes("/interaction/") ? { account } : undefined;
      ({ to } = await this.ask(to, { method: form ? "POST" : "GET", form }));
    }
    return to;
  }
}
