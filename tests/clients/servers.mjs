// What the tests here share: the programs under test, a browser, and checks.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const work = mkdtempSync(join(tmpdir(), 'fresnel-clients.'));
const children = new Set();
process.on('exit', () => {
  children.forEach(child => child.kill('SIGKILL'));
  rmSync(work, { recursive: true, force: true });
});
let failures = 0;

// What the promise brings, unless it takes too long.
export async function soon(promise, ms = 20000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Compares what the probe finds with what is wanted.
export async function check(what, probe, wanted) {
  const begin = performance.now();
  const seen = await soon(Promise.resolve().then(probe)).catch(error => error.message);
  const spent = Math.round(performance.now() - begin);
  if (seen === wanted) return console.log(`  ok    ${what} (${spent} ms)`);
  ++failures;
  console.log(`  FAIL  ${what}: wanted "${wanted}", seen "${seen}" (${spent} ms)`);
}

export function finish() {
  console.log(failures ? `${failures} checks failed` : 'all checks passed');
  process.exit(failures ? 1 : 0);
}

// Starts a program and waits for the address that it prints.
export function start(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.gone = new Promise(resolve => child.on('exit', () => resolve(children.delete(child))));
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = text => {
      const address = /http:\/\/127\.0\.0\.1:(\d+)/.exec((said += text));
      if (address) resolve(Object.assign(child, { url: address[0], port: address[1] }));
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('error', reject);
    child.gone.then(() => reject(new Error(`${program} ended: ${said}`)));
  });
}

// A file with one context, "sim", for a simulated API server.
export function kubeconfigOf(sim) {
  const file = join(work, 'kubeconfig');
  writeFileSync(file, JSON.stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'sim',
    contexts: [{ name: 'sim', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: sim.url } }], users: [{ name: 'u', user: {} }],
  }));
  return file;
}

// Without the services of the browser's maker, which would look for the internet.
export const launchChromium = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
