// permessage-deflate as others speak it: Node's ws, Python's websockets and Chromium read compressed events from the
// gateway, on the multiplexer and on direct watch sockets, and send compressed REQUESTs. What they decode must be what
// the API server holds.
// Started by run.sh, with the environment variables FRESNEL and SIM_SERVER, the programs' paths.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { check, finish, kubeconfigOf, launchChromium, start, work } from './servers.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const path = '/api/v1/namespaces/default/configmaps';
const count = 20;

const sim = await start(process.env.SIM_SERVER, ['--port', '0']);
const api = async (method, name, body) => {
  const reply = await fetch(sim.url + path + name, { method, headers: { 'content-type': 'application/json' }, body });
  if (!reply.ok) throw new Error(`${method} ${name}: ${reply.status}`);
  return reply.json();
};
for (let i = 0; i < count; ++i) {
  const text = Array.from({ length: 200 }, (_, line) => `line ${line} of ${i}: "quoted" \\ é 你好\n`).join('');
  await api('POST', '', JSON.stringify({ metadata: { name: `c${i}` }, data: { text: i % 4 ? text : 'small' } }));
}
const truth = (await api('GET', '')).items.map(({ metadata, data }) => [metadata.name, data.text]).sort();
const wanted = JSON.stringify(truth);

const pages = join(work, 'pages');
mkdirSync(pages);
writeFileSync(join(pages, 'index.html'), '<!DOCTYPE html><title>deflate</title>');
const gateway = await start(process.env.FRESNEL, ['serve', '--kubeconfig', kubeconfigOf(sim), '--listen', '127.0.0.1:0', '--html-static-dir', pages]);
const address = gateway.url.replace('http', 'ws');
const ways = {
  multiplexer: { url: `${address}/wsMultiplexer`, request: JSON.stringify({ clusterId: 'sim', path, query: 'watch=1', userId: 'u', type: 'REQUEST' }) },
  direct: { url: `${address}/clusters/sim${path}?watch=1&resourceVersion=0`, request: '' },
};

// Runs here and in the browser: what an open socket is told, until there are `count` objects.
function collect(socket, request, count) {
  return new Promise((resolve, reject) => {
    const objects = [];
    let size = 0;
    socket.onopen = () => request && socket.send(request);
    socket.onerror = error => reject(new Error(`the socket failed: ${error.message}`));
    socket.onmessage = ({ data }) => {
      size += data.length;
      let event = JSON.parse(data);
      if (request) {
        if (event.type !== 'DATA') return;
        event = JSON.parse(event.data);
      }
      objects.push([event.object.metadata.name, event.object.data.text]);
      if (objects.length === count) resolve({ objects: objects.sort(), size, extensions: socket.extensions });
    };
  });
}

async function expect(who, way, read) {
  const { objects, size, extensions, bytes } = await read;
  await check(`${who}, ${way}: negotiated`, () => extensions.includes('permessage-deflate'), true);
  await check(`${who}, ${way}: objects`, () => JSON.stringify(objects), wanted);
  if (bytes) await check(`${who}, ${way}: a fifth of the bytes or less (${bytes} for ${size})`, () => bytes * 5 < size, true);
}

const browser = await launchChromium();
const page = await browser.newPage();
await page.goto(gateway.url);
for (const [way, { url, request }] of Object.entries(ways)) {
  const socket = new WebSocket(url, { perMessageDeflate: { threshold: 0 } });
  await expect('ws', way, collect(socket, request, count).then(read => ({ ...read, bytes: socket._socket.bytesRead })));
  socket.close();

  const source = `(${collect})(new WebSocket('${url}'), '${request}', ${count})`;
  await expect('Chromium', way, page.evaluate(source));

  const { stdout } = await promisify(execFile)('/usr/bin/python3', [join(here, 'deflate_client.py'), url, request, String(count)]);
  await expect('Python', way, Promise.resolve(JSON.parse(stdout)));
}
await browser.close();
const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
await check('bad messages', () => /^fresnel_bad_client_input_total{kind="malformed_message"} (\d+)/m.exec(metrics)[1], '0');
finish();
