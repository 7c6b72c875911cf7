// A whole sign-in, as a browser does it: the request, the page, the password, back with a code.
import { type Answer, cookiesOf, locationOf } from './http.ts';
import { emailOf, person } from './settings.ts';
import { type Connection, authorizationPath, form } from './requests.ts';

/** @param number of the person and of their address: limits on guessing are for each */
export async function signIn(connection: Connection, number: number): Promise<boolean> {
  const jar = new Map<string, string>();
  const keep = (answer: Answer): Answer => {
    for (const pair of cookiesOf(answer)) {
      const [name = '', ...value] = pair.split('=');
      jar.set(name, value.join('='));
    }
    return answer;
  };
  const headers = () =>
    `accept: text/html\r\nx-forwarded-for: 10.0.0.${number}\r\ncookie: ${[...jar].map(([name, value]) => `${name}=${value}`).join('; ')}\r\n`;
  const follow = async (answer: Answer): Promise<Answer> => {
    const path = new URL(locationOf(answer), 'http://localhost');
    return keep(await connection.request('GET', path.pathname + path.search, headers()));
  };
  const first = keep(await connection.request('GET', authorizationPath({}), headers()));
  const page = await follow(first);
  const [, action = ''] = /action="([^"]+sign-in)"/.exec(page.body) ?? [];
  const [, csrf = ''] = /name="csrf" value="([^"]+)"/.exec(page.body) ?? [];
  const body = new URLSearchParams({
    csrf,
    email: emailOf(number),
    password: person.password,
  });
  const sent = keep(await connection.request('POST', action, headers() + form, body.toString()));
  const end = await follow(sent);
  if (!locationOf(end).includes('code=')) throw new Error(`no code: ${end.head}\n${end.body}`);
  return true;
}
