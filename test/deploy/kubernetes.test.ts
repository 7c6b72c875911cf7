// The manifests and the Helm chart: that they are one thing, that what refers to something finds it, and that the kubelet's
// part goes well with real processes - the migration, the probes, the stop. helm, kubectl and kubernetes-validate (PyPI) look at
// them where they are.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, expect, onTestFinished, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { createRole } from '../support/database.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort, run, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'deploy/kubernetes');
const chart = join(root, 'deploy/helm/symbolon');
const text = (file: string) => readFileSync(file, 'utf8');
const { version } = JSON.parse(text(join(root, 'package.json'))) as { version: string };

interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string; labels?: object };
  spec: object;
  data?: Record<string, string>;
}
interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  failureThreshold: number;
}
interface Container {
  name: string;
  image: string;
  args: string[];
  env?: { name: string; value: string }[];
  envFrom: { configMapRef: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  securityContext: object;
  volumeMounts: { name: string; mountPath: string }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
}
interface Pod {
  enableServiceLinks: boolean;
  automountServiceAccountToken: boolean;
  terminationGracePeriodSeconds: number;
  securityContext: object;
  initContainers: [Container];
  containers: [Container];
  volumes: {
    name: string;
    projected: {
      defaultMode: number;
      sources: { secret: { name: string; items?: { key: string; path: string }[] } }[];
    };
  }[];
}

const manifests = (yaml: string) =>
  parseAllDocuments(yaml)
    .map((document) => document.toJS() as Manifest | null)
    .filter((one) => one !== null);
interface Template {
  metadata: { labels: object };
  spec: Pod;
}
interface Cluster {
  bootstrap: { initdb: { database: string; owner: string } };
}

function ofKind(all: readonly Manifest[], kind: string): Manifest {
  const [found, ...others] = all.filter((one) => one.kind === kind);
  if (!found || others.length > 0) throw new Error(`there is no ${kind}, or more than one`);
  return found;
}
const podOf = (all: readonly Manifest[]) =>
  (ofKind(all, 'Deployment').spec as { template: Template }).template;

const kustomization = parse(text(join(folder, 'kustomization.yaml'))) as {
  namespace: string;
  resources: string[];
  configMapGenerator: [{ name: string; envs: [string] }];
  images: [{ name: string; newName: string; newTag: string }];
};
const plain = kustomization.resources.flatMap((file) => manifests(text(join(folder, file))));
const database = ofKind(manifests(text(join(folder, 'database.yaml'))), 'Cluster');
const settings = Object.fromEntries(
  text(join(folder, kustomization.configMapGenerator[0].envs[0]))
    .split('\n')
    .filter((line) => /^\w/.test(line))
    .map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
);
const template = podOf(plain);
const pod = template.spec;
const [server] = pod.containers;
const environmentOf = ({ env = [] }: Container) =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]));

describe('the manifests', () => {
  test('are all applied, but for the database, which an operator makes; of this version', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
    expect([...kustomization.resources, 'kustomization.yaml', 'database.yaml'].sort()).toEqual(
      files.sort(),
    );
    const [image] = kustomization.images;
    expect(image.newTag).toBe(version);
    for (const one of [...pod.initContainers, server]) expect(one.image).toBe(image.name);
    const about = parse(text(join(chart, 'Chart.yaml'))) as Record<string, string>;
    expect(about).toMatchObject({ version, appVersion: version });
  });

  test('the pods may do no more than the image needs', () => {
    const dockerfile = text(join(root, 'Dockerfile'));
    expect(dockerfile).toMatch(/^USER 1000:1000$/m);
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      // SYMBOLON_PORT, of a Service named symbolon, would be among the settings.
      enableServiceLinks: false,
      securityContext: {
        ...{ runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000 },
        seccompProfile: { type: 'RuntimeDefault' },
      },
    });
    for (const { securityContext } of [...pod.initContainers, ...pod.containers])
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    const [namespace] = plain.filter(({ kind }) => kind === 'Namespace');
    expect(namespace?.metadata).toMatchObject({
      name: kustomization.namespace,
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    });
  });

  test('what refers to something finds it', () => {
    const { labels } = template.metadata;
    const [deployment, service, budget, policy] = (
      ['Deployment', 'Service', 'PodDisruptionBudget', 'NetworkPolicy'] as const
    ).map((kind) => ofKind(plain, kind).spec);
    expect(deployment).toMatchObject({ replicas: 2, selector: { matchLabels: labels } });
    expect(budget).toMatchObject({ maxUnavailable: 1, selector: { matchLabels: labels } });
    expect(policy).toMatchObject({ podSelector: { matchLabels: labels } });
    expect(service).toMatchObject({ selector: labels, ports: [{ targetPort: 'http' }] });
    expect(JSON.stringify(policy)).toContain(`"cnpg.io/cluster":"${database.metadata.name}"`);
    const ingress = JSON.stringify(ofKind(plain, 'Ingress'));
    const issuer = new URL(settings['SYMBOLON_ISSUER'] ?? '');
    expect(ingress).toContain(`"host":"${issuer.host}"`);
    expect(ingress).toContain('"service":{"name":"symbolon","port":{"name":"http"}}');

    for (const one of [...pod.initContainers, server])
      expect(one.envFrom).toEqual([
        { configMapRef: { name: kustomization.configMapGenerator[0].name } },
      ]);
    const ports = Object.fromEntries(
      server.ports.map(({ name, containerPort }) => [name, containerPort]),
    );
    expect(ports).toEqual({ http: 3000, operations: 3001 });
    const given = environmentOf(server);
    expect(given).toMatchObject({ SYMBOLON_OPERATIONS_PORT: '3001' });
    for (const { httpGet } of [server.startupProbe, server.livenessProbe, server.readinessProbe])
      expect(httpGet.port).toBe('operations');

    const files = pod.volumes[0]?.projected.sources.flatMap(({ secret: { name, items } }) =>
      items ? items.map(({ path }) => path) : [name === 'symbolon' ? 'secret' : name],
    );
    const url = new URL(settings['DATABASE_URL'] ?? '');
    const named = [
      settings['SYMBOLON_SECRET_FILE'],
      settings['DATABASE_PASSWORD_FILE'],
      url.searchParams.get('sslrootcert'),
    ];
    const [mount] = server.volumeMounts;
    expect(named).toEqual(files?.map((file) => `${mount?.mountPath ?? ''}/${file}`));
    expect(url.searchParams.get('sslmode')).toBe('verify-full');
    const { name, namespace } = database.metadata;
    const made = (database.spec as Cluster).bootstrap.initdb;
    expect({ host: url.hostname, user: url.username, path: url.pathname, namespace }).toEqual({
      host: `${name}-rw`,
      user: made.owner,
      path: `/${made.database}`,
      namespace: kustomization.namespace,
    });
    // For the group alone, in decimal: an octal number is read differently by YAML 1.1 and 1.2.
    expect(pod.volumes[0]?.projected.defaultMode).toBe(0o440);
    const secrets = pod.volumes[0]?.projected.sources.map((source) => source.secret.name);
    expect(secrets).toEqual(['symbolon', `${name}-app`, `${name}-ca`]);
  });

  test('a pod that stops is taken out of the Service before it closes, and has the time for its requests', () => {
    const delay = Number(environmentOf(server)['SYMBOLON_STOP_DELAY']);
    const { periodSeconds, failureThreshold } = server.readinessProbe;
    expect(periodSeconds * failureThreshold).toBeLessThan(delay);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(delay + 10 + 5);
  });
});

test('the kubelet’s part: tables are made, probes are answered, a stop is seen', async () => {
  const secrets = await temporaryFolder();
  const role = await createRole();
  onTestFinished(() => role.drop());
  await secrets.put('secret', `${secret}\n`);
  await secrets.put('database-password', 'its password');
  const url = new URL(role.url);
  url.password = '';
  const port = await freePort();
  const here = {
    ...Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        name,
        value.replace('/run/secrets/symbolon', secrets.path),
      ]),
    ),
    DATABASE_URL: url.href,
    NODE_ENV: 'production',
  };
  const [migrate] = pod.initContainers;
  expect(migrate.args[0]).toBe('symbolon');
  const first = await run(['src/cli.ts', ...migrate.args.slice(1)], here);
  expect({ code: first.code, stderr: first.stderr }).toEqual({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/init/);

  expect(server.args).toEqual(['symbolon', 'serve']);
  const provider = await startProcess({
    ...here,
    ...environmentOf(server),
    HOST: '127.0.0.1',
    SYMBOLON_OPERATIONS_HOST: '127.0.0.1',
    SYMBOLON_OPERATIONS_PORT: String(port),
    SYMBOLON_STOP_DELAY: '1',
  });
  onTestFinished(async () => {
    await provider.end('SIGKILL');
  });
  const probe = async ({ httpGet }: Probe) =>
    (await fetch(`http://127.0.0.1:${port}${httpGet.path}`)).status;
  expect(await probe(server.startupProbe)).toBe(200);
  expect(await probe(server.livenessProbe)).toBe(200);
  expect(await probe(server.readinessProbe)).toBe(200);
  const ended = provider.end('SIGTERM');
  while ((await probe(server.readinessProbe)) !== 503);
  expect(await probe(server.livenessProbe)).toBe(200);
  expect(await ended).toBe(0);
});

/** @returns what a program printed, or what was wrong */
function tell(program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}
function needs(context: TestContext, program: string, args: readonly string[], from: string): void {
  if (tell(program, args).status !== 0)
    context.skip(`${program} is missing: ${from}, and this runs`);
}

const ours = ['--set', 'settings.SYMBOLON_ISSUER=https://id.example.com'];
const helm = (...more: string[]) =>
  tell('helm', [
    ...['template', 'symbolon', chart, '--namespace', 'symbolon', '--kube-version', '1.34'],
    ...more,
  ]);
const helmIsMissing = 'put helm 3 on the PATH';

test('the chart makes what the manifests are', (context) => {
  needs(context, 'helm', ['version'], helmIsMissing);
  const like = (all: readonly Manifest[]) =>
    all
      .filter(({ kind }) => !['Namespace', 'ConfigMap'].includes(kind))
      .sort((a, b) => (a.kind < b.kind ? -1 : 1))
      .map(({ kind, metadata: { name }, spec }) => ({ kind, name, spec: withoutLabels(spec) }));
  const made = helm(
    ...ours,
    ...['--set', 'ingress.enabled=true', '--set', 'ingress.className=traefik'],
  );
  expect(made.stderr).toBe('');
  const all = manifests(made.stdout);
  const [image] = kustomization.images;
  const wanted = JSON.stringify(like(plain)).replaceAll(
    `"image":"${image.name}"`,
    `"image":"${image.newName}:${image.newTag}"`,
  );
  expect(like(all)).toEqual(JSON.parse(wanted));
  expect(ofKind(all, 'ConfigMap').data).toEqual(settings);
});

/** Each has more labels than the manifests, and the settings' hash as an annotation. */
function withoutLabels(spec: object): unknown {
  return JSON.parse(JSON.stringify(spec), (name, value: unknown) =>
    name === 'annotations' || (name === 'labels' && JSON.stringify(value).includes('symbolon'))
      ? undefined
      : value,
  );
}

test('helm finds nothing wrong with the chart, whatever is switched on', (context) => {
  needs(context, 'helm', ['version'], helmIsMissing);
  const lint = tell('helm', ['lint', '--strict', '--kube-version', '1.34', chart, ...ours]);
  expect(lint.stdout).toContain('0 chart(s) failed');
  const digest = `sha256:${'0'.repeat(64)}`;
  const other = helm(
    ...['--set', 'settings.SYMBOLON_ISSUER=https://example.com:8443/id', '--set', 'mail=true'],
    ...['--set', `image.digest=${digest}`, '--set', 'networkPolicy.enabled=false'],
    ...['--set', 'database.caSecret.name=', '--set', 'replicas=1', '--set', 'ingress.enabled=true'],
    ...['--set', 'settings.SYMBOLON_CLAIMS_FILE=/etc/symbolon/claims.json'],
    ...['--set', 'extraVolumes[0].name=claims,extraVolumes[0].configMap.name=claims'],
    ...['--set', 'extraVolumeMounts[0].name=claims,extraVolumeMounts[0].mountPath=/etc/symbolon'],
  );
  expect(other.stderr).toBe('');
  const all = manifests(other.stdout);
  expect(all.map(({ kind }) => kind)).not.toContain('NetworkPolicy');
  const { volumes, containers } = podOf(all).spec;
  expect(containers[0].image).toBe(`registry.example.com/symbolon@${digest}`);
  expect(containers[0].volumeMounts.map(({ mountPath }) => mountPath)).toContain('/etc/symbolon');
  expect(volumes).toHaveLength(2);
  expect(volumes[0]?.projected.sources).toHaveLength(2);
  expect(ofKind(all, 'ConfigMap').data).toHaveProperty('SYMBOLON_SMTP_URL_FILE');
  expect(JSON.stringify(ofKind(all, 'Ingress'))).toContain('"host":"example.com"');
});

test.for([
  ['no issuer', 'settings.SYMBOLON_ISSUER='],
  ['an issuer without TLS', 'settings.SYMBOLON_ISSUER=http://id.example.com'],
  ['a secret among the settings', 'settings.SYMBOLON_SECRET=written here for everybody to read'],
  ['a name that is no setting', 'settings.SYMBLON_NAME=Example'],
  ['a password in a URL', 'database.url=postgresql://symbolon:password@db/symbolon'],
  ['a value that there is not', 'replicaCount=3'],
] as const)('the chart refuses %s', ([, value], context) => {
  needs(context, 'helm', ['version'], helmIsMissing);
  expect(helm(...ours, '--set', value).stderr).toMatch(
    /values don't meet the specifications of the schema/,
  );
});

test('kustomize puts the manifests together', (context) => {
  needs(context, 'kubectl', ['kustomize', '--help'], 'put kubectl on the PATH');
  const all = manifests(tell('kubectl', ['kustomize', folder]).stdout);
  const { name, namespace } = ofKind(all, 'ConfigMap').metadata;
  expect(namespace).toBe('symbolon');
  const [container] = podOf(all).spec.containers;
  expect(container.envFrom).toEqual([{ configMapRef: { name } }]);
  expect(container.image).toBe(`registry.example.com/symbolon:${version}`);
});

test('each is what Kubernetes’ own schemas say', async (context) => {
  const from = 'python3 -m pip install kubernetes-validate';
  needs(context, 'kubernetes-validate', ['--version'], from);
  const made = await temporaryFolder();
  const files = kustomization.resources.map((file) => join(folder, file));
  if (tell('helm', ['version']).status === 0) {
    files.push(join(made.path, 'chart.yaml'));
    writeFileSync(files.at(-1) ?? '', helm(...ours, '--set', 'ingress.enabled=true').stdout);
  }
  for (const one of ['1.27', '1.34']) {
    const judged = tell('kubernetes-validate', ['--strict', '--quiet', '-k', one, ...files]);
    expect(judged).toMatchObject({ status: 0 });
  }
});
