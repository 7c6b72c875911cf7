// A person's browser without its window: it keeps cookies, follows redirects within the provider, fills in forms.
import { type HTMLElement, parse } from 'node-html-parser';
import { person } from './provider.ts';

/** The form for the e-mail address and the password, wherever it is. */
export const signInForm = /\/sign-in(\?|$)/;

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly html: HTMLElement;
  /** The URL outside the provider that the browser was sent to, which is not fetched. */
  readonly away?: URL;
}

/** The fields of a form, each once or several times. */
export type Fields = Readonly<Record<string, string | readonly string[]>>;

function encode(fields: Fields): URLSearchParams {
  return new URLSearchParams(
    Object.entries(fields).flatMap(([name, value]) =>
      [value].flat().map((one): [string, string] => [name, one]),
    ),
  );
}

export class Agent {
  readonly #cookies = new Map<string, Cookie>();
  readonly #origin: string;

  readonly #route: (url: URL) => URL;

  readonly #headers: Record<string, string>;

  readonly #tossed: readonly string[];

  /**
   * @param route where a request for a URL of the issuer really goes, as a reverse proxy would send it
   * @param headers sent with every request
   * @param tossed cookies that another host of the domain has set: the provider cannot change them
   */
  constructor(
    issuer: string,
    route: (url: URL) => URL = (url) => url,
    headers: Record<string, string> = {},
    tossed: readonly string[] = [],
  ) {
    this.#origin = new URL(issuer).origin;
    this.#route = route;
    this.#headers = headers;
    this.#tossed = tossed;
  }

  get cookies(): readonly Cookie[] {
    return [...this.#cookies.values()];
  }

  /** Has a cookie that the provider has not set. */
  set(cookie: Cookie): void {
    this.#cookies.set(`${cookie.name} ${cookie.path}`, cookie);
  }

  forget(): void {
    this.#cookies.clear();
  }

  /** Another browser that has the same cookies at this moment. */
  clone(): Agent {
    const copy = new Agent(this.#origin, this.#route, this.#headers, this.#tossed);
    for (const [key, cookie] of this.#cookies) copy.#cookies.set(key, cookie);
    return copy;
  }

  async open(url: string | URL, form?: Fields): Promise<Page> {
    let target = new URL(url, this.#origin);
    let body = form;
    for (let hops = 0; hops < 20; hops++) {
      const response = await fetch(this.#route(target), {
        method: body ? 'POST' : 'GET',
        redirect: 'manual',
        headers: {
          accept: 'text/html,*/*;q=0.5',
          cookie: this.#cookieHeader(target),
          'user-agent': 'Test browser',
          ...this.#headers,
        },
        ...(body ? { body: encode(body) } : {}),
      });
      this.#keep(response, target);
      const location = response.headers.get('location');
      const html = await response.text();
      const next = location === null ? undefined : new URL(location, target);
      if (!next || next.origin !== this.#origin) {
        return {
          url: target,
          status: response.status,
          headers: response.headers,
          html: parse(html),
          ...(next ? { away: next } : {}),
        };
      }
      target = next;
      body = undefined;
    }
    throw new Error(`too many redirects at ${target.href}`);
  }

  /** Sends a form and does not follow the answer. @returns where it leads */
  async post(url: URL, form: Record<string, string>): Promise<URL> {
    const response = await fetch(this.#route(url), {
      method: 'POST',
      redirect: 'manual',
      headers: { accept: 'text/html', cookie: this.#cookieHeader(url) },
      body: new URLSearchParams(form),
    });
    this.#keep(response, url);
    return new URL(response.headers.get('location') ?? '', url);
  }

  /** Submits the form with this action, with what is filled in; what is ticked stays so unless it is given. */
  submit(page: Page, filled: Fields, action?: RegExp): Promise<Page> {
    const forms = page.html.querySelectorAll('form');
    const form = forms.find((candidate) =>
      action ? action.test(candidate.getAttribute('action') ?? '') : true,
    );
    if (!form)
      throw new Error(
        `no form ${String(action)} on ${page.url.href}: ${page.html.toString().slice(0, 500)}`,
      );
    const fields: Record<string, string[]> = {};
    for (const input of form.querySelectorAll('input[type=hidden], input[checked]'))
      (fields[input.getAttribute('name') ?? ''] ??= []).push(input.getAttribute('value') ?? '');
    return this.open(new URL(form.getAttribute('action') ?? '', page.url), {
      ...fields,
      ...filled,
    });
  }

  /** Goes through sign-in and consent, whichever are asked for, and ends at the relying party. */
  async authorize(
    url: string | URL,
    as: { email: string; password: string } = person,
  ): Promise<URL> {
    const page = await this.walk(url, as);
    if (page.away) return page.away;
    throw new Error(
      `stuck at ${page.url.href} (${page.status}): ${page.html.querySelector('h1')?.text ?? ''} ${page.html.querySelector('main')?.text.replace(/\s+/g, ' ') ?? ''}`,
    );
  }

  /** The same, and ends wherever neither is asked for. */
  async walk(url: string | URL, as: { email: string; password: string } = person): Promise<Page> {
    let page = await this.open(url);
    for (let steps = 0; steps < 6; steps++) {
      if (page.away) return page;
      if (page.html.querySelector('input[name="password"]')) {
        page = await this.submit(page, { email: as.email, password: as.password }, signInForm);
      } else if (page.html.querySelector('form[action$="/consent"]')) {
        page = await this.submit(page, {}, /\/consent$/);
      } else {
        break;
      }
    }
    return page;
  }

  #cookieHeader(url: URL): string {
    return this.cookies
      .filter(
        ({ path }) =>
          url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`),
      )
      .map(({ name, value }) => `${name}=${value}`)
      .concat(this.#tossed)
      .join('; ');
  }

  #keep(response: Response, url: URL): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
      const [name = '', ...rest] = pair.split('=');
      const attribute = (wanted: string) =>
        attributes
          .find((part) => part.toLowerCase().startsWith(`${wanted}=`))
          ?.slice(wanted.length + 1);
      const path = attribute('path') ?? url.pathname;
      const expires = attribute('expires');
      const key = `${name} ${path}`;
      if (expires !== undefined && new Date(expires).getTime() <= Date.now())
        this.#cookies.delete(key);
      else this.#cookies.set(key, { name, value: rest.join('='), path });
    }
  }
}
