// The unit of work: what a request has collected is written once, together, and after that nothing is taken any more;
// a change that fails leaves no trace; a request that throws tells of nothing but its refusal.
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect, connectPrepared } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import type { Message } from '../../src/storage/deliveries.ts';
import { refused } from '../../src/storage/families/verdict.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { type Storage, createStorage } from '../../src/storage/storage.ts';
import { type UnitOfWork, currentUnit, runUnit } from '../../src/storage/unit-of-work.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { person, publicClient, secret, webClient } from '../support/provider.ts';
import { type Rows, restoreRows, rowsOf } from '../support/rows.ts';

let database: TestDatabase;
let storage: Storage;
let admin: pg.Client;
let accountId: string;
let start: Rows;
beforeAll(async () => {
  database = await createDatabase();
  const [prisma, pool] = [connect(database.url), connectPrepared(database.url)];
  storage = createStorage({ prisma, pool, keyring: new Keyring([secret]) });
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  ({ id: accountId } = await addAccount(prisma, person, { admin: false }));
  await insertClient(prisma, storage.keyring, webClient);
  start = await rowsOf(admin);
});
beforeEach(() => restoreRows(admin, start));
afterAll(async () => {
  await storage.prisma.$disconnect();
  await storage.pool.end();
  await admin.end();
  await database.drop();
});

const message: Message = { url: 'https://app.example/told', headers: {}, body: 'news' };
const session = (id: string) => ({
  ...{ model: 'Session', id, payload: { kind: 'Session', uid: id } },
  expiresAt: new Date(Date.now() + 60_000),
});
const mail = (to: string) =>
  ({ to, locale: null, template: 'verification', values: { token: 'secret' } }) as const;
const notice = () => ({
  ...({ kind: 'password_changed', accountId, now: storage.now(), origin: commandLine } as const),
});

/** All that a unit may be asked for. */
const ways: Readonly<Record<string, (unit: UnitOfWork) => unknown>> = {
  save: (unit) => {
    unit.save(session('late'));
  },
  consume: (unit) => {
    unit.consume('AuthorizationCode', 'late', undefined);
  },
  destroy: (unit) => {
    unit.destroy('Session', 'early');
  },
  revokeGrant: (unit) => {
    unit.revokeGrant('grant', 'revoked_by_user');
  },
  endLine: (unit) => {
    unit.endLine({ id: 'family', grantId: null, reason: 'revoked_by_user' });
  },
  family: (unit) => {
    unit.family = refused({ id: 'family', accountId, clientId: 'web' }, 'unknown');
  },
  writeClient: (unit) => {
    unit.writeClient({ kind: 'new', metadata: publicClient });
  },
  audit: (unit) => {
    unit.audit({ type: 'sign_in', accountId });
  },
  mail: (unit) => {
    unit.mail(mail('late@example.com'));
  },
  notice: (unit) => {
    unit.notice(notice());
  },
  deliver: (unit) => {
    unit.deliver(message, () => undefined);
  },
  change: (unit) => unit.change((one) => one.account.deleteMany()),
};

const ends: Readonly<Record<string, (unit: UnitOfWork) => unknown>> = {
  'the end of the request': () => undefined,
  'a change of its own': (unit) => unit.change(() => Promise.resolve()),
};

describe.each(Object.entries(ends))('after %s', (_end, end) => {
  test.each(Object.entries(ways))('%s is refused, and nothing is written', async (_name, way) => {
    const unit = await run(async (one) => {
      one.save(session('early'));
      one.audit({ type: 'sign_in', accountId });
      await end(one);
    });
    const before = await rowsOf(admin);
    await expect(Promise.resolve(unit).then(way)).rejects.toThrow('the unit of work is committed');
    await unit.end('done');
    expect(await rowsOf(admin)).toEqual(before);
    expect(await told()).toEqual(['sign_in']);
  });
});

test('what comes after a change within the request is refused to the request, and the change stays', async () => {
  const request = run(async (unit) => {
    await unit.change((one) =>
      one.account.update({ where: { id: accountId }, data: named('Ada King') }),
    );
    unit.audit({ type: 'name.changed', accountId }, { evenIfRefused: true });
  });
  await expect(request).rejects.toThrow('the unit of work is committed');
  expect(await name()).toBe('Ada King');
  expect(await told()).toEqual([]);
});

describe('a change that fails', () => {
  /** Collects something of every kind, but for what replaces what was collected before. */
  const collect = (unit: UnitOfWork, which: string) => {
    unit.save(session(which));
    unit.audit({ type: 'name.changed', accountId, detail: { which } });
    unit.mail(mail(`${which}@example.com`));
    unit.notice(notice());
    unit.deliver(message, () => undefined);
  };
  const fail = (unit: UnitOfWork) =>
    expect(
      unit.change(async (one) => {
        await one.account.update({ where: { id: accountId }, data: named('Mallory') });
        collect(unit, 'inside');
        unit.destroy('Session', 'before');
        unit.consume('AuthorizationCode', 'inside', undefined);
        unit.revokeGrant('inside', 'revoked_by_user');
        unit.endLine({ id: 'inside', grantId: null, reason: 'revoked_by_user' });
        unit.family = refused({ id: 'inside', accountId, clientId: 'web' }, 'unknown');
        unit.writeClient({ kind: 'new', metadata: publicClient });
        throw new Error('not now');
      }),
    ).rejects.toThrow('not now');
  const whole = (...which: string[]) => ({
    ...{ sessions: which.length, events: which, http: which.length },
    mails: which.flatMap((one) => [person.email, `${one}@example.com`]).sort(),
  });

  test('leaves what was collected before, and nothing of its own', async () => {
    await run(async (unit) => {
      collect(unit, 'before');
      await fail(unit);
      expect(unit.family).toBeUndefined();
      expect(
        await unit.read('Session', 'inside', () => Promise.resolve(undefined)),
      ).toBeUndefined();
      expect(unit.written('Session', ({ uid }) => uid === 'before')).toBeDefined();
      collect(unit, 'after');
    });
    expect(await name()).toBe(person.name);
    expect(await contents()).toEqual(whole('before', 'after'));
    expect(await storage.prisma.client.count()).toBe(1);
  });

  test('can be followed by one that succeeds', async () => {
    await run(async (unit) => {
      collect(unit, 'before');
      await fail(unit);
      await unit.change((one) =>
        one.account.update({ where: { id: accountId }, data: named('Ada King') }),
      );
    });
    expect(await name()).toBe('Ada King');
    expect(await contents()).toEqual(whole('before'));
  });

  test('in what the unit has collected: the change is undone as well', async () => {
    await run(async (unit) => {
      unit.audit({ type: 'sign_in', accountId });
      const failing = unit.change(async (one) => {
        await one.account.update({ where: { id: accountId }, data: named('Mallory') });
        unit.consume('AuthorizationCode', 'spent already', undefined);
      });
      await expect(failing).rejects.toThrow('invalid_grant');
      unit.audit({ type: 'name.changed', accountId });
    });
    expect(await name()).toBe(person.name);
    expect(await told()).toEqual(['sign_in', 'name.changed']);
  });
});

describe('of everything that was collected', () => {
  let sent = 0;
  beforeEach(() => {
    sent = 0;
  });
  const collect = (unit: UnitOfWork) => {
    unit.save(session('one'));
    unit.save({ ...session('two'), model: 'AuthorizationCode' });
    unit.audit({ type: 'sign_in', accountId });
    unit.audit({ type: 'sign_in.failed', accountId }, { evenIfRefused: true });
    unit.mail(mail('ada@example.com'));
    unit.notice(notice());
    unit.deliver(message, () => sent++);
    unit.writeClient({ kind: 'new', metadata: publicClient });
  };
  const artifacts = () =>
    storage.prisma.artifact
      .findMany({ orderBy: { model: 'asc' } })
      .then((all) => all.map(({ model }) => model));

  test('a success writes all, and sends', async () => {
    await run((unit) => {
      collect(unit);
      expect(sent).toBe(0);
    });
    expect(await told()).toEqual(['sign_in', 'sign_in.failed']);
    expect(await artifacts()).toEqual(['AuthorizationCode', 'Session']);
    expect(await contents()).toMatchObject({
      http: 1,
      mails: [person.email, 'ada@example.com'].sort(),
    });
    expect(await storage.prisma.client.count()).toBe(2);
    expect(sent).toBe(1);
  });

  test('a message is there when it is sent', async () => {
    let there: Promise<number> | undefined;
    const look = () => {
      there = storage.prisma.delivery.count();
    };
    await run((unit) => {
      unit.deliver(message, look);
    });
    expect(await there).toBe(1);
    await run(async (unit) => {
      unit.deliver(message, look);
      await unit.change(() => Promise.resolve());
      expect(await there).toBe(2);
    });
    expect(await contents()).toMatchObject({ http: 2 });
  });

  test.each(['by its status', 'in spite of its status'])(
    'a refusal %s writes the session and what tells of it',
    async (how) => {
      await run(
        (unit) => {
          collect(unit);
          if (how === 'in spite of its status') unit.refuse();
        },
        () => how === 'by its status',
      );
      expect(await told()).toEqual(['sign_in.failed']);
      expect(await artifacts()).toEqual(['Session']);
      expect(await contents()).toMatchObject({ http: 0, mails: [] });
      expect(await storage.prisma.client.count()).toBe(1);
      expect(sent).toBe(0);
    },
  );

  test('a request that throws writes what tells of that, and nothing else', async () => {
    const request = run((unit) => {
      collect(unit);
      unit.revokeGrant('grant', 'revoked_by_user');
      throw new Error('a mistake of ours');
    });
    await expect(request).rejects.toThrow('a mistake of ours');
    expect(await told()).toEqual(['sign_in.failed']);
    expect(await contents()).toMatchObject({ http: 0, mails: [] });
    expect(await artifacts()).toEqual([]);
    expect(await storage.prisma.client.count()).toBe(1);
    expect(sent).toBe(0);
  });

  test('a commit that fails writes nothing and sends nothing', async () => {
    const request = run((unit) => {
      collect(unit);
      unit.consume('AuthorizationCode', 'spent already', undefined);
    });
    await expect(request).rejects.toThrow('invalid_grant');
    expect(await rowsOf(admin)).toEqual(start);
    expect(sent).toBe(0);
  });
});

/** Runs a request. @returns its unit of work */
async function run(
  work: (unit: UnitOfWork) => unknown,
  isRefused?: () => boolean,
): Promise<UnitOfWork> {
  let unit: UnitOfWork | undefined;
  await runUnit(
    storage,
    commandLine,
    async () => {
      unit = currentUnit();
      await work(unit);
    },
    isRefused,
  );
  if (!unit) throw new Error('nothing was run');
  return unit;
}

const named = (name: string) => ({ name });

const name = async () =>
  (await storage.prisma.account.findUniqueOrThrow({ where: { id: accountId } })).name;

const auditEvents = () => storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } });

/** The types of all events. */
const told = async () => (await auditEvents()).map(({ type }) => type);

/** What there is of sessions, events by what they are about, messages, and mails by whom they go to. */
async function contents() {
  const { artifact, delivery } = storage.prisma;
  const rows = await delivery.findMany();
  const opened = rows.map(({ id, channel, sealed }) => ({
    channel,
    ...(JSON.parse(storage.keyring.unseal(`delivery ${id}`, sealed)) as { to?: string }),
  }));
  return {
    sessions: await artifact.count({ where: { model: 'Session' } }),
    events: (await auditEvents()).map(({ detail }) => (detail as { which?: string }).which),
    http: opened.filter(({ channel }) => channel === 'http').length,
    mails: opened.flatMap(({ channel, to = '' }) => (channel === 'mail' ? [to] : [])).sort(),
  };
}
