// What the last button did, and the panel that explains it in plain words.
import type { UserInfoResponse } from 'openid-client';
import { type Family, type Generation, current, halves, previous } from './family.ts';
import { type Html, html } from './html.ts';
import type { Answer } from './provider-client.ts';

/** One request to the token endpoint, and the token or the refusal that came back. */
export type Exchange =
  | { readonly sent: Generation; readonly received: Generation; readonly refusal?: undefined }
  | { readonly sent: Generation; readonly received?: undefined; readonly refusal: Answer };

export type Outcome =
  | { readonly kind: 'refresh' | 'twice'; readonly exchanges: readonly Exchange[] }
  /** `aging` is the refresh that made the token old enough to be replayed. */
  | { readonly kind: 'replay'; readonly exchange: Exchange; readonly aging?: Exchange }
  | { readonly kind: 'nothing-to-replay' }
  | { readonly kind: 'userinfo'; readonly userInfo: UserInfoResponse }
  | { readonly kind: 'userinfo-refused'; readonly refusal: Answer };

type Tone = 'good' | 'note' | 'bad';

/** @param button makes a form of one button that posts to a path */
export function tokenOutcome(
  outcome: Outcome | undefined,
  family: Family,
  button: (path: string, label: string) => Html,
): Html | undefined {
  switch (outcome?.kind) {
    case 'refresh':
      return refreshed(outcome.exchanges, family, button);
    case 'twice':
      return refreshedTwice(outcome.exchanges, family, button);
    case 'replay':
      return outcome.exchange.received
        ? honoured(outcome.exchange, outcome.exchange.received, family, button)
        : reused(outcome.exchange, outcome.aging, family, button);
    case 'nothing-to-replay':
      return panel('note', 'There is no old token yet', html`<p>Press <b>Refresh</b> first.</p>`);
    default:
      return undefined;
  }
}

function refreshed(exchanges: readonly Exchange[], family: Family, button: Button): Html {
  const [first] = exchanges;
  if (first?.refusal) return refused(exchanges, family, button);
  return panel(
    'good',
    'Rotated: a new secret, the same family',
    html`<p>
        The token that was sent is used up now. The provider keeps a hash of its successor, and
        neither of the two.
      </p>
      ${list(exchanges)}`,
  );
}

function refreshedTwice(exchanges: readonly Exchange[], family: Family, button: Button): Html {
  if (exchanges.every(({ refusal }) => refusal))
    return refused(exchanges.slice(0, 1), family, button);
  const successors = new Set(exchanges.map(({ received }) => received?.token));
  if (successors.size > 1) {
    const text = html`<p>The provider did not give both requests the same successor.</p>`;
    return panel('bad', 'Two requests, two answers', html`${text}${list(exchanges)}`);
  }
  return panel(
    'good',
    'Two requests at once, one successor',
    html`<p>
        Both sent the same token, as two tabs do. Both got the <b>same</b> new one: nothing forked,
        nobody was signed out.
      </p>
      ${list(exchanges)}`,
  );
}

function honoured(exchange: Exchange, received: Generation, family: Family, button: Button): Html {
  if (received !== current(family) || received.answers < 2) {
    const text = html`<p>A used-up token was exchanged for a new one.</p>`;
    return panel('bad', 'The provider honoured an old token', html`${text}${list([exchange])}`);
  }
  return panel(
    'note',
    'The same successor again: a retry, not a theft',
    html`<p>
        This was the token <em>just before</em> the current one. Its answer may have been lost on
        the way, and a lost response must not sign you out. So it is honoured within the retry
        window (60 seconds unless set otherwise), and gives the <b>same</b> successor,
        #${received.number}, which you have already: a thief gains no second line of tokens.
      </p>
      ${list([exchange])}
      <p>An older token has no such excuse.</p>
      ${button('/replay-older', 'Replay an older one')}`,
  );
}

function reused(
  exchange: Exchange,
  aging: Exchange | undefined,
  family: Family,
  button: Button,
): Html {
  const { refusal, sent } = exchange;
  if (refusal === undefined || !family.ended) return refused([exchange], family, button);
  return panel(
    'bad',
    'Replay seen: the whole family has ended',
    html`${
        aging?.received &&
        html`<p>
          First refreshed once more, so that #${sent.number} was two rotations old. Then sent it:
        </p>`
      }
      ${
        sent === previous(family) &&
        html`<p>This was the token just before the current one, but its retry window is over.</p>`
      }
      ${list([exchange])}
      <ol class="steps">
        <li>
          The provider saw a token that was <b>used up</b>: somebody has a copy. It cannot know
          whether the thief sent it, or you.
        </li>
        <li>
          So it ended the <b>whole family</b>: every token of it, the current
          #${current(family).number} too, and its access tokens.
        </li>
        <li>
          The next refresh answers <code>invalid_grant</code>. You can sign in again; a thief
          cannot.
        </li>
      </ol>
      ${json(refusal, `What the provider answered to #${sent.number}`)}
      ${button('/refresh', 'Refresh with the current token')}`,
  );
}

function refused(exchanges: readonly Exchange[], family: Family, button: Button): Html {
  const refusal = exchanges.find((exchange) => exchange.refusal)?.refusal;
  const answer = refusal && json(refusal, 'What the provider answered');
  const again = button('/sign-in', 'Sign in again');
  const { ended } = family;
  if (ended?.replayed) {
    return panel(
      'bad',
      'Refused: this family has ended',
      html`<p>
          The newest token is worth nothing either, since #${ended.replayed.number} was replayed. A
          thief who holds it is out. You are one sign-in away.
        </p>
        ${list(exchanges)}${answer}${again}`,
    );
  }
  if (ended) {
    return panel(
      'bad',
      'Refused: this family has ended',
      html`<p>It was revoked or has expired at the provider.</p>
        ${list(exchanges)}${answer}${again}`,
    );
  }
  return panel(
    'note',
    'The provider could not answer',
    html`<p>The token is not used up by this. Press the button again.</p>
      ${list(exchanges)}${answer}`,
  );
}

type Button = Parameters<typeof tokenOutcome>[2];

function panel(tone: Tone, title: string, body: Html): Html {
  return html`<section class="outcome ${tone}" id="outcome" role="status">
    <h3>${title}</h3>
    ${body}
  </section>`;
}

function list(exchanges: readonly Exchange[]): Html {
  return html`<ul class="exchanges">
    ${exchanges.map(
      ({ sent, received, refusal }) =>
        html`<li>
          <span class="sr">Sent</span> ${chip(sent)} <span class="arrow" aria-hidden="true">→</span>
          ${received && html`<span class="status ok">200</span> ${chip(received)}`}
          ${refusal && html`<span class="status no">${refusal.status}</span> ${errorOf(refusal)}`}
        </li>`,
    )}
  </ul>`;
}

function chip({ number, token }: Generation): Html {
  return html`<span class="chip"
    ><b>#${number}</b> <code>${halves(token).secret.slice(0, 8)}…</code></span
  >`;
}

function errorOf({ body }: Answer): Html | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
  return typeof body['error'] === 'string' ? html`<code>${body['error']}</code>` : undefined;
}

export function json({ status, body }: Answer, caption: string): Html {
  const text = typeof body === 'string' ? body : JSON.stringify(body, null, 2);
  return html`<figure>
    <figcaption>${caption}: <b>HTTP ${status}</b></figcaption>
    <pre tabindex="0"><code>${text}</code></pre>
  </figure>`;
}
