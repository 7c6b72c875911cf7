// What is measured. Each workload prepares an operation for one connection; an operation that is not answered as it
// should be ends the run with an error.
import type { Answer } from './http.ts';
import { type Connection, authorizationPath, exchange, form, refreshing } from './requests.ts';
import { type ClientId, authorization, authorizationOf, resource, staticPath } from './settings.ts';
import { signIn } from './sign-in.ts';
import type { Subject } from './subjects.ts';

/** @returns whether it was done, and not out of what it needs; nothing instead of an operation where the subject has no such thing */
export type Operation = () => Promise<boolean>;
export type Prepare = (
  subject: Subject,
  connection: Connection,
  index: number,
  duration: number,
) => Promise<Operation | undefined> | Operation | undefined;

// To be exchanged by one connection: a slow machine makes some too, so that all are not spent before it counts.
const CODES = { least: 100, most: 5_000 };

export const workloads: Record<string, Prepare> = {
  'refresh-opaque': refresh('opaque'),
  'refresh-rs256': refresh('rs256', 'bench-rs256'),
  'refresh-jwt': refresh('jwt'),
  code: async (subject, connection, _index, duration) => {
    // Authorized before, not measured.
    const forms: string[] = [];
    const end = performance.now() + 2 * duration;
    const path = authorizationPath({ offline: true, silent: true });
    while (forms.length < CODES.least || (performance.now() < end && forms.length < CODES.most)) {
      const answer = await connection.request('GET', path, `cookie: ${subject.cookie}\r\n`);
      forms.push(exchange(expected(answer, 303)));
    }
    let next = 0;
    return async () => {
      const body = forms[next++];
      if (body === undefined) return false;
      expected(await connection.request('POST', '/token', authorization + form, body), 200);
      return true;
    };
  },
  authorize: (subject, connection) => {
    const path = authorizationPath({ silent: true });
    return async () => {
      expected(await connection.request('GET', path, `cookie: ${subject.cookie}\r\n`), 303);
      return true;
    };
  },
  'client-credentials': (_subject, connection) => {
    const body = `grant_type=client_credentials&scope=read&resource=${encodeURIComponent(resource)}`;
    return async () => {
      expected(await connection.request('POST', '/token', authorization + form, body), 200);
      return true;
    };
  },
  introspect: withAccessToken((connection, token) => async () => {
    const answer = await connection.request(
      'POST',
      '/introspect',
      authorization + form,
      `token=${token}`,
    );
    if (!expected(answer, 200).body.includes('"active":true')) throw new Error(answer.body);
    return true;
  }),
  userinfo: withAccessToken((connection, token) => async () => {
    const header = `authorization: Bearer ${token}\r\n`;
    expected(await connection.request('GET', '/userinfo', header), 200);
    return true;
  }),
  discovery: get('/.well-known/openid-configuration'),
  jwks: get('/jwks'),
  'sign-in': (subject, connection, index) =>
    subject.name === 'bare' ? undefined : () => signIn(connection, index),
};

function refresh(kind: 'opaque' | 'rs256' | 'jwt', client: ClientId = 'bench'): Prepare {
  return (subject, connection, index) => async () => {
    const answer = await connection.request(
      'POST',
      '/token',
      authorizationOf(client) + form,
      refreshing(subject[kind][index] ?? ''),
    );
    subject[kind][index] = (
      JSON.parse(expected(answer, 200).body) as { refresh_token: string }
    ).refresh_token;
    return true;
  };
}

/** Against a static string. */
function get(path: string): Prepare {
  return (subject, connection) => async () => {
    const asked = subject.name === 'bare' ? staticPath : path;
    expected(await connection.request('GET', asked, ''), 200);
    return true;
  };
}

function withAccessToken(use: (connection: Connection, token: string) => Operation): Prepare {
  return async (subject, connection) => {
    const path = authorizationPath({ silent: true });
    const code = await connection.request('GET', path, `cookie: ${subject.cookie}\r\n`);
    const answer = await connection.request('POST', '/token', authorization + form, exchange(code));
    const { access_token: token } = JSON.parse(expected(answer, 200).body) as {
      access_token: string;
    };
    return use(connection, token);
  };
}

function expected(answer: Answer, status: number): Answer {
  if (answer.status === status) return answer;
  throw new Error(`wants ${status}, got ${answer.status}: ${answer.head}\n${answer.body}`);
}
