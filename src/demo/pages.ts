// The relying party's pages: the frame, what signed-out people see, and errors. signed-in.ts has the rest.
import { type Html, html } from './html.ts';

/** What every page needs. */
export interface PageContext {
  readonly issuer: string;
  /** The token that every form carries back. */
  readonly csrf: string;
}

export interface ErrorPage {
  readonly title: string;
  readonly text: string;
  /** Details for who runs this, such as an error code. */
  readonly detail?: string | undefined;
}

export function frame({ issuer }: PageContext, title: string, main: Html, aside?: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Symbolon demo</title>
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <header class="top">
          <a class="brand" href="/">${mark()} Symbolon <span>demo</span></a>
          ${aside}
        </header>
        <main>${main}</main>
        <footer>
          This page is a relying party, an application of its own. The provider is at
          <a href="${issuer}/.well-known/openid-configuration">${issuer}</a>; they share a client
          secret and nothing else.
        </footer>
      </body>
    </html>`.text;
}

export function signedOutPage(context: PageContext): string {
  return frame(
    context,
    'Sign in',
    html`<section class="hero">
      <h1>See a refresh token live, rotate and die</h1>
      <p class="lead">
        Symbolon is an OpenID Connect provider that you run yourself. This page is an application
        that people sign in to with it.
      </p>
      ${button(context, '/sign-in', 'Sign in', 'primary big')}
      <ol class="tour">
        <li><b>Sign in.</b> Read what the ID token says about you.</li>
        <li><b>Refresh.</b> Watch the secret change with every use, while its family stays.</li>
        <li><b>Refresh twice at once.</b> Two requests, one successor: nothing forks.</li>
        <li><b>Replay the old token.</b> Be the thief, and see the whole family end.</li>
        <li><b>Sign out</b>, here and at the provider. The refresh token is given back.</li>
      </ol>
    </section>`,
  );
}

export function errorPage(context: PageContext, { title, text, detail }: ErrorPage): string {
  return frame(
    context,
    title,
    html`<section class="hero">
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      ${detail !== undefined && html`<pre tabindex="0"><code>${detail}</code></pre>`}
      <div class="row">
        ${button(context, '/sign-in', 'Sign in', 'primary')}
        <a class="button" href="/">Back to the start</a>
      </div>
    </section>`,
  );
}

/** A form of one button. `disabled` says in words why it cannot be pressed. */
export function button(
  { csrf }: PageContext,
  path: string,
  label: string,
  style = '',
  disabled = false,
): Html {
  return html`<form method="post" action="${path}">
    <input type="hidden" name="csrf" value="${csrf}" />
    <button class="button ${style}" ${disabled && html`disabled`}>${label}</button>
  </form>`;
}

// Two halves of one token, fitting.
function mark(): Html {
  return html`<svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true" focusable="false">
    <path class="half-a" d="M11 2a10 10 0 0 0 0 20l-2.5-5 3.5-4-3.5-4z" />
    <path class="half-b" d="M13.5 2a10 10 0 0 1 0 20L11 17l3.5-4L11 9z" />
  </svg>`;
}
