// The page of somebody signed in: the refresh token and its rotations, the buttons, and the ID token's claims.
import { type Family, type Generation, current, halves } from './family.ts';
import { type Html, html } from './html.ts';
import { json, tokenOutcome } from './outcome.ts';
import { type PageContext, button, frame } from './pages.ts';
import type { Account } from './sessions.ts';

const SHOWN = 8;
const FIRST = ['iss', 'sub', 'aud', 'auth_time', 'iat', 'exp'];
const TIMES = new Set(['iat', 'exp', 'auth_time', 'nbf', 'updated_at']);
const MEANINGS: Record<string, string> = {
  iss: 'who says so',
  sub: 'who you are, to this provider',
  aud: 'whom it is for',
  exp: 'valid until',
  iat: 'issued',
  auth_time: 'you signed in',
  nonce: 'ties it to this sign-in',
  sid: 'session at the provider',
  at_hash: 'ties it to the access token',
  acr: 'how sure it is',
  amr: 'how you signed in',
  azp: 'who asked for it',
  name: 'your name',
  email: 'your e-mail address',
  email_verified: 'whether it was checked',
};

export function signedInPage(context: PageContext, account: Account, now: Date): string {
  const { family, tokens } = account;
  const who = tokens.claims['name'] ?? tokens.claims['email'];
  return frame(
    context,
    'Signed in',
    html`<h1 class="sr">Signed in</h1>
      <div class="columns">
        <div>${family ? familyCard(context, account, family) : noFamilyCard(context)}</div>
        <div>${claimsCard(account, now)} ${userInfoCard(context, account)}</div>
      </div>`,
    html`<div class="who">
      <span>Signed in${typeof who === 'string' && html` as <b>${who}</b>`}</span>
      ${button(context, '/sign-out', 'Sign out')}
    </div>`,
  );
}

function familyCard(context: PageContext, account: Account, family: Family): Html {
  const { ended, generations } = family;
  const now = current(family);
  const press = (path: string, label: string) => button(context, path, label, 'primary');
  return html`<section class="card ${ended && 'ended'}" aria-labelledby="family">
    <h2 id="family">
      Refresh token
      ${
        ended
          ? html`<span class="pill dead">family ended</span>`
          : html`<span class="pill live">${count(now.number, 'rotation')}</span>`
      }
    </h2>
    <p class="quiet">
      Gets new tokens while you are away. Every use replaces it. An old one that comes back was
      copied, and ends the whole family.
    </p>
    ${token(now, ended !== undefined)}
    <ul class="actions">
      ${action(button(context, '/refresh', 'Refresh', ended ? '' : 'primary'), 'Spends the token. You get a new secret of the same family.')}
      ${action(button(context, '/refresh-twice', 'Refresh twice at once'), 'One token, two requests, as two tabs do. One successor.')}
      ${action(
        button(context, '/replay', 'Replay the old token', 'danger', generations.length < 2),
        generations.length < 2
          ? 'Be the thief with a stolen copy. Refresh first, so that there is an old one.'
          : 'Be the thief with a stolen copy of a token used before.',
      )}
    </ul>
    ${tokenOutcome(account.outcome, family, press)}
    <h3>Rotations</h3>
    ${history(family)}
  </section>`;
}

function token({ number, token: text }: Generation, dead: boolean): Html {
  const { familyId, secret } = halves(text);
  return html`<dl class="token ${dead && 'dead'}">
    ${
      familyId !== undefined &&
      html`<div class="family">
        <dt>Family <span>stays</span></dt>
        <dd><code>${familyId}</code></dd>
      </div>`
    }
    <div class="secret">
      <dt>Secret <span>${dead ? 'worth nothing now' : 'changes with every use'}</span></dt>
      <dd>
        ${familyId !== undefined && html`<code class="dot">.</code>`}<code>${secret}</code>
        <span class="sr">(number ${number})</span>
      </dd>
    </div>
  </dl>`;
}

function action(form: Html, hint: string): Html {
  return html`<li>
    ${form}
    <p>${hint}</p>
  </li>`;
}

function history(family: Family): Html {
  const { generations, ended } = family;
  const shown = generations.slice(-SHOWN).reverse();
  const hidden = generations.length - shown.length;
  return html`<table class="history">
      <thead>
        <tr>
          <th scope="col">No.</th>
          <th scope="col">Time</th>
          <th scope="col">Secret</th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        ${shown.map((generation) => {
          const { word, style } = stateOf(generation, family);
          return html`<tr class="${style}">
            <th scope="row">#${generation.number}</th>
            <td><time datetime="${generation.at.toISOString()}">${clock(generation.at)}</time></td>
            <td>
              <code>${halves(generation.token).secret.slice(0, 8)}…</code>
              ${generation.answers > 1 && html`<small class="answers">${generation.answers} answers</small>`}
            </td>
            <td><span class="pill">${word}</span></td>
          </tr>`;
        })}
      </tbody>
    </table>
    ${hidden > 0 && html`<p class="quiet">and ${count(hidden, 'older one')}</p>`}
    ${ended && html`<p class="quiet">The history ends here: no token of this family works any more.</p>`}`;
}

function stateOf(generation: Generation, family: Family): { word: string; style: string } {
  const { generations, ended } = family;
  if (generation === ended?.replayed) return { word: 'replayed', style: 'replayed' };
  if (ended) return { word: 'ended', style: 'dead' };
  if (generation === generations.at(-1)) return { word: 'current', style: 'current' };
  if (generation === generations.at(-2)) return { word: 'retry window', style: 'retry' };
  return { word: 'used up', style: 'used' };
}

function noFamilyCard(context: PageContext): Html {
  return html`<section class="card" aria-labelledby="family">
    <h2 id="family">No refresh token</h2>
    <p>
      The provider gives one only under <code>offline_access</code>, and that was not granted at
      this sign-in. Sign in again and allow it.
    </p>
    ${button(context, '/sign-in', 'Sign in again', 'primary')}
  </section>`;
}

function claimsCard({ tokens }: Account, now: Date): Html {
  return html`<section class="card" aria-labelledby="claims">
    <h2 id="claims">ID token</h2>
    ${claimsTable(tokens.claims, now)}
  </section>`;
}

function userInfoCard(context: PageContext, { outcome }: Account): Html {
  return html`<section class="card" aria-labelledby="userinfo">
    <h2 id="userinfo">Access token</h2>
    <p class="quiet">
      Opens the provider's userinfo endpoint, which knows your name and address. It lives for
      minutes; the refresh token gets the next.
    </p>
    ${button(context, '/userinfo', 'Call userinfo')}
    ${
      outcome?.kind === 'userinfo' &&
      html`<div id="outcome" role="status">${claimsTable(outcome.userInfo, new Date())}</div>`
    }
    ${
      outcome?.kind === 'userinfo-refused' &&
      html`<div class="outcome bad" id="outcome" role="status">
        <h3>Refused</h3>
        <p>The access token has expired, or has ended with its family.</p>
        ${json(outcome.refusal, 'What the provider answered')}
      </div>`
    }
  </section>`;
}

function claimsTable(claims: object, now: Date): Html {
  return html`<table class="claims">
    <tbody>
      ${inOrder(claims).map(
        ([name, value]) =>
          html`<tr>
            <th scope="row">
              <code>${name}</code
              >${MEANINGS[name] !== undefined && html`<small>${MEANINGS[name]}</small>`}
            </th>
            <td>${claimValue(name, value, now)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function inOrder(claims: object): [string, unknown][] {
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return Object.entries(claims).toSorted(([a], [b]) => rank(a) - rank(b));
}

function claimValue(name: string, value: unknown, now: Date): Html | string {
  if (TIMES.has(name) && typeof value === 'number') {
    const at = new Date(value * 1000);
    return html`<time datetime="${at.toISOString()}">${day(at)}, ${clock(at)}</time>
      <small>${relative(at, now)}</small>`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function clock(at: Date): string {
  return at.toLocaleTimeString('en-GB');
}

function day(at: Date): string {
  return at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
}

function relative(at: Date, now: Date): string {
  const seconds = Math.round((at.getTime() - now.getTime()) / 1000);
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  if (Math.abs(seconds) < 60) return format.format(seconds, 'second');
  const minutes = Math.round(seconds / 60);
  if (Math.abs(minutes) < 60) return format.format(minutes, 'minute');
  return format.format(Math.round(minutes / 60), 'hour');
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
