// Pictures of every page of the admin panel: light, dark, and as wide as a phone.
// A server of its own is filled over the API; the browser signs in as a person does.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [runner, folder] = process.argv.slice(2);
const place = mkdtempSync(join(tmpdir(), 'runner-screenshots-'));
const env = {
  ...process.env,
  RUNNER_DATA: join(place, 'data'),
  RUNNER_ROOT_KEY: join(place, 'root.key'),
};
const server = spawn(runner, ['serve', '--listen', '127.0.0.1:0'], {
  env,
  stdio: ['ignore', 'pipe', 'ignore'],
});

/** Where the server listens, as it says itself. */
const listening = () =>
  new Promise((resolve, reject) => {
    let said = '';
    server.stdout.on('data', (data) => {
      said += data;
      const found = said.match(/listening on (\S+)/);
      if (found) resolve(found[1]);
    });
    server.on('exit', () => reject(new Error('the server ended')));
  });

const token = (role) =>
  execFileSync(runner, ['token', 'create', '--role', role, '--name', 'laptop'], { env })
    .toString()
    .trim();

/** Fills the server; answers what pages are about. */
async function fill(url, administrator) {
  const call = async (method, path, body) => {
    const headers = { token: administrator, 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
    const read = await answer.json();
    if (!read.status) throw new Error(`${method} ${path}: ${read.message}`);
    return read.result;
  };
  const tags = (...pairs) => pairs.map(([key, value]) => ({ key, value }));
  const secrets = [];
  for (const [key, ...pairs] of [
    ['BILLING_API_KEY', ['team', 'billing'], ['env', 'prod']],
    ['DATABASE_PASSWORD', ['team', 'billing']],
    ['MQTT_PASSWORD', ['team', 'field']],
    ['WEATHER_TOKEN', ['env', 'prod'], ['team', 'field']],
  ]) {
    const made = await call('POST', '/secrets', { key, value: `value of ${key}`, tags: tags(...pairs) });
    secrets.push(made.id);
  }
  const egress = await call('POST', '/secrets', {
    key: 'PAYMENT_KEY',
    value: 'sixteen characters at least',
    tags: tags(['team', 'billing']),
    exposure: 'egress',
    hosts: ['api.payments.example'],
  });
  const analyses = [];
  for (const [name, team] of [['invoices', 'billing'], ['reminders', 'billing'], ['irrigation', 'field']]) {
    analyses.push((await call('POST', '/analysis', { name, tags: tags(['team', team]) })).id);
  }
  const policy = await call('POST', '/am', {
    name: 'Each team sees its own secrets',
    targets: [['analysis', 'tag_match', 'team']],
    permissions: [{ effect: 'allow', action: ['access'], resource: ['secrets', 'tag_match', 'team'] }],
  });
  await call('POST', '/am', {
    name: 'No reminders in production',
    targets: [['analysis', 'id', analyses[1]]],
    permissions: [{ effect: 'deny', action: ['access'], resource: ['secrets', 'tag.key', 'env', 'tag.value', 'prod'] }],
  });
  await call('POST', '/users', { name: 'ann', role: 'administrator', password: 'correct horse battery' });
  return { secret: secrets[0], egress: egress.id, policy: policy.am_id, analysis: analyses[0] };
}

const LOOKS = [
  ['light', { colorScheme: 'light', viewport: { width: 1280, height: 800 } }],
  ['dark', { colorScheme: 'dark', viewport: { width: 1280, height: 800 } }],
  ['phone', { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
];

/** Every page by its name. */
const pages = ({ secret, egress, policy }) => ({
  secrets: '/admin/secrets',
  'secret-new': '/admin/secrets/new',
  'secret-value': `/admin/secrets/${secret}`,
  'secret-egress': `/admin/secrets/${egress}`,
  'secret-tags': `/admin/secrets/${secret}?tab=tags`,
  'secret-access': `/admin/secrets/${secret}?tab=access`,
  'secret-more': `/admin/secrets/${secret}?tab=more`,
  access: '/admin/access',
  'access-new': '/admin/access/new',
  'access-edit': `/admin/access/${policy}`,
  'access-more': `/admin/access/${policy}?tab=more`,
  tokens: '/admin/tokens',
  users: '/admin/users',
  audit: '/admin/audit',
  'help-policies': '/admin/help/policies',
  nothing: '/admin/nothing',
});

let browser;
try {
  const url = await listening();
  const administrator = token('administrator');
  const about = await fill(url, administrator);
  mkdirSync(folder, { recursive: true });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  for (const [look, options] of LOOKS) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on('console', (line) => {
      // What is refused is shown with its status, which the browser says too.
      if (line.type() === 'error' && !line.text().includes('status of 4')) {
        process.exitCode = 1;
        console.error(`${look}: ${page.url()}: ${line.text()}`);
      }
    });
    const shoot = async (name) => {
      await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) {
        process.exitCode = 1;
        console.error(`${look}: ${name} is ${wider} pixels wider than the window`);
      }
    };
    await page.goto(`${url}/admin`);
    await shoot('sign-in');
    await page.getByRole('textbox', { name: 'Token' }).fill(administrator);
    await page.getByRole('button', { name: 'Sign in with the token' }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    if (page.url().includes('/sign-in')) throw new Error('nobody was signed in');
    for (const [name, path] of Object.entries(pages(about))) {
      await page.goto(url + path);
      await shoot(name);
    }
    await page.getByText('Account', { exact: true }).first().click();
    await shoot('menu');
    await context.close();
  }
  console.log(`pictures are in ${folder}`);
} finally {
  await browser?.close();
  server.kill();
  rmSync(place, { recursive: true });
}
