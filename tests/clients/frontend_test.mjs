// Headlamp's unmodified frontend code against the gateway: builds page.jsx with it, serves it with `fresnel serve
// --html-static-dir` in front of sim_server, and looks at the page in Chromium while pods come, change and go.
// Started by run.sh, with the environment variables FRESNEL and SIM_SERVER, the programs' paths; CHROMIUM may name
// another browser, SCREENSHOT a PNG file to write. No part of Headlamp's code is changed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { check, finish, kubeconfigOf, launchChromium, start, work } from './servers.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const env = { HEADLAMP: join(here, 'package/lib'), ...process.env };

async function site(multiplexer) {
  const out = join(work, multiplexer ? 'multiplexer' : 'direct');
  mkdirSync(join(out, 'assets'), { recursive: true });
  await build({
    entryPoints: [join(here, 'page.jsx')],
    outdir: join(out, 'assets'),
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    logLevel: 'error',
    nodePaths: [join(here, 'node_modules')],
    alias: { headlamp: env.HEADLAMP },
    define: {
      'import.meta.env': JSON.stringify({ REACT_APP_ENABLE_WEBSOCKET_MULTIPLEXER: String(multiplexer) }),
      'process.env.NODE_ENV': '"production"',
    },
  });
  // The two things that the server rewrites in Headlamp's index.html.
  writeFileSync(
    join(out, 'index.html'),
    `<!DOCTYPE html><title>pods</title><link rel="icon" href="data:,"><div id="root"></div>
<script>__baseUrl__ = './'; headlampBaseUrl = __baseUrl__;</script><script type="module" src="./assets/page.js"></script>\n`
  );
  return out;
}

// Runs in the browser: the texts of what the selector finds, once they are those wanted or the time is over.
function texts({ selector, wanted }) {
  const now = () => [...document.querySelectorAll(selector)].map(element => element.textContent).sort().join(' ');
  return new Promise(resolve => {
    const over = () => {
      observer.disconnect();
      resolve(now());
    };
    const look = () => now() === wanted && over();
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, characterData: true });
    setTimeout(over, 15000); // before check() gives up, so that it tells what there is
    look();
  });
}

const checkPage = (what, page, selector, wanted) =>
  check(what, () => page.evaluate(texts, { selector, wanted }), wanted);
const checkList = (what, page, id, wanted) => checkPage(what, page, `[data-list=${id}] > li`, wanted);

// Once the watch of the one object has brought what it is now: Headlamp's code would not tell of a change before that.
const bringsOne = page =>
  new Promise(resolve => {
    const one = 'fieldSelector=metadata.name'; // in a multiplexer's message, or in the address of a socket of its own
    const look = (url, text) => text.includes('ADDED') && (url + text).includes(one) && resolve(true);
    page.on('websocket', socket => socket.on('framereceived', ({ payload }) => look(socket.url(), payload.toString())));
  });

async function run(browser, title, { multiplexer, base = '', resumes, screenshot }) {
  console.log(title);
  const sim = await start(env.SIM_SERVER, ['--port', '0']);
  const api = async (method, path, body, type = 'application/json') => {
    const reply = await fetch(`${sim.url}/api/v1/namespaces/default/pods${path}`, { method, headers: { 'content-type': type }, body: body && JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
  };
  const add = (name, team) => api('POST', '', { metadata: { name, labels: { team, round: '1' } }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  const label = (name, labels) => api('PATCH', '/' + name, { metadata: { labels } }, 'application/merge-patch+json');
  const remove = name => api('DELETE', `/${name}?gracePeriodSeconds=0`);
  for (const i of [0, 1, 2, 3, 4, 5]) await add('p' + i, i % 2 ? 'red' : 'blue');

  const kubeconfig = kubeconfigOf(sim);
  const files = await site(multiplexer);
  const serve = (port = 0) =>
    start(env.FRESNEL, ['serve', '--kubeconfig', kubeconfig, '--listen', `127.0.0.1:${port}`, '--html-static-dir', files, ...(base ? ['--base-url', base] : [])]);
  let gateway = await serve();
  const port = gateway.port;

  const context = await browser.newContext({ viewport: { width: 700, height: 800 } }); // one localStorage: both tabs have the same userId
  const open = async () => {
    const page = await context.newPage();
    page.sockets = [];
    page.on('websocket', socket => page.sockets.push(new URL(socket.url()).pathname));
    page.watchesOne = bringsOne(page);
    await page.goto(`${gateway.url}${base}/c/sim/pods`);
    return page;
  };
  const [tab, other] = [await open(), await open()];
  const both = async (what, all, red, blue) => {
    for (const [page, name] of [[tab, ''], [other, ', second tab']]) {
      await checkList(`${what}${name}: all`, page, 'all', all);
      await checkList(`${what}${name}: red`, page, 'red', red);
      await checkList(`${what}${name}: blue`, page, 'blue', blue);
    }
  };
  const one = async (what, round) => {
    await checkPage(`${what}, one object`, tab, '[data-one=p3]', round);
    await checkPage(`${what}, one object, second tab`, other, '[data-one=p3]', round);
  };
  await both('initial list', 'p0=1 p1=1 p2=1 p3=1 p4=1 p5=1', 'p1=1 p3=1 p5=1', 'p0=1 p2=1 p4=1');
  await one('initially', '1');
  await check('one object, watched', () => tab.watchesOne, true);
  await check('one object, watched, second tab', () => other.watchesOne, true);
  await add('p6', 'red');
  await label('p3', { round: '2' });
  await remove('p0');
  await label('p1', { team: 'blue' });
  await both('changes', 'p1=1 p2=1 p3=2 p4=1 p5=1 p6=1', 'p3=2 p5=1 p6=1', 'p1=1 p2=1 p4=1');
  await one('changes', '2');
  // Each of them has told of a change, so each is there: three lists and one object, in each tab.
  const subscriptions = async () => /^fresnel_subscriptions{cluster="sim"} (\d+)/m.exec(await (await fetch(`${gateway.url}${base}/metrics`)).text())?.[1];
  await check('watches', subscriptions, '8');
  await check('kind of sockets', () => tab.sockets.every(path => path.startsWith(base + (multiplexer ? '/wsMultiplexer' : '/clusters/sim/'))), true);
  if (screenshot) {
    await tab.bringToFront();
    await tab.screenshot({ path: screenshot });
  }

  gateway.kill('SIGKILL');
  await gateway.gone;
  await add('q1', 'red');
  await remove('p2');
  await label('p4', { round: '2' });
  gateway = await serve(port);
  if (resumes) {
    // Headlamp's code does not reconnect by itself: the next subscription does, and takes up all the others.
    const watchesAgain = bringsOne(tab);
    await tab.evaluate(() => window.openLater('team in (red)'));
    await checkList('after a restart, new list', tab, 'later', 'p3=2 p5=1 p6=1 q1=1');
    await checkList('after a restart, all', tab, 'all', 'p1=1 p3=2 p4=2 p5=1 p6=1 q1=1');
    await checkList('after a restart, blue', tab, 'blue', 'p1=1 p4=2');
    await check('after a restart, one object watched', () => watchesAgain, true);
    await remove('p5');
    await label('p3', { round: '3' });
    await checkList('live again, all', tab, 'all', 'p1=1 p3=3 p4=2 p6=1 q1=1');
    await checkList('live again, red', tab, 'red', 'p3=3 p6=1 q1=1');
    await checkPage('live again, one object', tab, '[data-one=p3]', '3');
  }
  await context.close();
  for (const child of [gateway, sim]) {
    child.kill('SIGTERM');
    await child.gone;
  }
}

const browser = await launchChromium();
await run(browser, 'multiplexer', { multiplexer: true, resumes: true, screenshot: env.SCREENSHOT });
await run(browser, 'direct sockets', { multiplexer: false });
await run(browser, 'direct sockets below a base path', { multiplexer: false, base: '/live' });
await run(browser, 'multiplexer below a base path', { multiplexer: true, base: '/live', resumes: true });
await browser.close();
finish();
