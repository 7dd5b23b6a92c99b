// RFC 6455 and RFC 7692, case by case: Node's ws and hand-made frames against the toolkit's server, the toolkit's client
// against Node's ws as a server and hand-made frames. The cases are a column of the table in docs/conformance.md, which
// must be what is run here; UPDATE_DOCS=1 writes it.
// Started by run.sh, with the environment variables TOOLKIT_PEER, the program's path, and CONFORMANCE_DOCS, the page's.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, deflateRawSync } from 'node:zlib';
import WebSocket, { WebSocketServer } from 'ws';
import { finish, soon, start } from './servers.mjs';

const rows = [];
let failed = 0;
async function expectCase(section, name, probe, wanted) {
  let seen;
  try {
    seen = await soon(probe());
  } catch (error) {
    seen = `error: ${error.message}`;
  }
  const right = JSON.stringify(seen) === JSON.stringify(wanted);
  if (!right) ++failed;
  const difference = right ? '' : `: wanted ${JSON.stringify(wanted)}, seen ${JSON.stringify(seen)}`;
  console.log(`  ${right ? 'ok  ' : 'FAIL'}  ${section} ${name}${difference}`);
  rows.push([section, name, 'yes']);
}

// A frame as it travels. `mask`: as a client must send it.
function frame(opcode, payload = Buffer.alloc(0), { fin = true, rsv = 0, mask = true, length } = {}) {
  const body = Buffer.from(payload);
  const size = length ?? body.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const flag = mask ? 0x80 : 0;
  if (size < 126) head.push(flag | size);
  else if (size < 65536) head.push(flag | 126, size >> 8, size & 255);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(size));
    head.push(flag | 127, ...long);
  }
  if (!mask) return Buffer.concat([Buffer.from(head), body]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, body.map((byte, i) => byte ^ key[i % 4])]);
}
const closeFrame = (code, reason = '') => {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return Buffer.concat([payload, Buffer.from(reason)]);
};

// --- the server, seen by ws

const plain = await start(process.env.TOOLKIT_PEER, ['serve']);
const deflating = await start(process.env.TOOLKIT_PEER, ['serve', 'deflate']);
const address = server => server.url.replace('http', 'ws');

// What a WebSocket is told, in order, and the code of its end.
class Heard extends EventEmitter {
  events = [];
  over = null;
  constructor(socket) {
    super();
    const hear = event => this.emit('news', this.events.push(event));
    socket.on('message', (data, binary) => hear(binary ? data : data.toString()));
    socket.on('pong', data => hear(`pong ${data.toString().slice(0, 20)}`));
    socket.on('close', code => this.emit('news', (this.over = code)));
  }
  // Waits for that many events, or for the end.
  async until(count) {
    while (this.events.length < count && !this.over) await once(this, 'news');
    return this.events;
  }
  async end() {
    await this.until(Infinity);
    return this.over;
  }
}

function open(server = plain, options = { perMessageDeflate: false }, protocols = []) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address(server), protocols, { maxPayload: 64 << 20, ...options });
    socket.heard = new Heard(socket);
    socket.on('error', error => reject(error));
    socket.on('open', () => resolve(socket));
  });
}
// What a new connection that sends these bytes is told, until `count` events or its end.
async function told(bytes, count, server, options) {
  const socket = await open(server, options);
  for (const piece of [bytes].flat()) socket._socket.write(piece);
  const events = await socket.heard.until(count);
  const { over } = socket.heard;
  socket.terminate();
  return over ? [...events, over] : events;
}

for (const size of [0, 125, 126, 65535, 65536, 16 << 20]) {
  for (const binary of [false, true]) {
    const data = binary ? randomBytes(size) : 'x'.repeat(size);
    await expectCase('6455 5.2', `a ${binary ? 'binary' : 'text'} message of ${size} bytes`, async () => {
      const socket = await open();
      socket.send(data);
      const [echo] = await socket.heard.until(1);
      socket.terminate();
      return Buffer.compare(Buffer.from(echo), Buffer.from(data)) === 0;
    }, true);
  }
}
await expectCase('6455 5.2', 'a length that is not in its shortest form', () => told(Buffer.concat([Buffer.from([0x81, 0xfe, 0, 5, 0, 0, 0, 0]), Buffer.from('hello')]), 1), [1002]);
await expectCase('6455 5.2', 'a length of 2^63: too large', () => told(Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1), [1009]);
await expectCase('6455 5.2', 'a message beyond the limit', () => told(frame(2, 'x', { length: 18 << 20 }), 1), [1009]);
for (const rsv of [1, 2, 4]) await expectCase('6455 5.2', `reserved bit ${{ 4: 1, 2: 2, 1: 3 }[rsv]}`, () => told(frame(1, 'a', { rsv }), 1), [1002]);
for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) await expectCase('6455 5.2', `reserved opcode ${opcode}`, () => told(frame(opcode, 'a'), 1), [1002]);
await expectCase('6455 5.1', 'a frame of a client without a mask', () => told(frame(1, 'a', { mask: false }), 1), [1002]);

const fragments = [frame(1, 'one ', { fin: false }), frame(0, 'two ', { fin: false }), frame(0, 'three')];
await expectCase('6455 5.4', 'a message in three fragments', () => told(fragments, 1), ['one two three']);
await expectCase('6455 5.4', 'fragments that arrive byte by byte', () => told([...Buffer.concat(fragments)].map(byte => Buffer.from([byte])), 1), ['one two three']);
await expectCase('6455 5.4', 'fragments without content', () => told([frame(1, '', { fin: false }), frame(0, '', { fin: false }), frame(0, '')], 1), ['']);
await expectCase('6455 5.4', 'a ping between fragments', () => told([fragments[0], frame(9, 'now'), fragments[1], fragments[2]], 2), ['pong now', 'one two three']);
await expectCase('6455 5.4', 'a continuation of nothing', () => told(frame(0, 'a'), 1), [1002]);
await expectCase('6455 5.4', 'a message within a message', () => told([fragments[0], frame(1, 'a')], 1), [1002]);

await expectCase('6455 5.5.2', 'a ping without payload', () => told(frame(9), 1), ['pong ']);
await expectCase('6455 5.5.2', 'a ping of 125 bytes', () => told(frame(9, 'p'.repeat(125)), 1), ['pong pppppppppppppppppppp']);
await expectCase('6455 5.5', 'a ping of 126 bytes', () => told(frame(9, 'p'.repeat(126)), 1), [1002]);
await expectCase('6455 5.5', 'a ping in fragments', () => told(frame(9, 'p', { fin: false }), 1), [1002]);
await expectCase('6455 5.5.3', 'a pong that nobody asked for', () => told([frame(10, 'p'), frame(1, 'after')], 1), ['after']);

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]) {
  await expectCase('6455 7.4', `close code ${code} is echoed`, () => told(frame(8, closeFrame(code)), 1), [code]);
}
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999]) {
  await expectCase('6455 7.4', `close code ${code}, which must not be sent`, () => told(frame(8, closeFrame(code)), 1), [1002]);
}
const listedSince = 'close code 1014, which IANA has listed since, is not known';
await expectCase('6455 7.4', listedSince, () => told(frame(8, closeFrame(1014)), 1), [1002]);
// Beast echoes them, and ws then refuses the echo: what it tells is that there was no valid Close.
for (const code of [5000, 65535]) {
  await expectCase('6455 7.4', `close code ${code}, of which the RFC says nothing, ends the connection`, () => told(frame(8, closeFrame(code)), 1), [1006]);
}
await expectCase('6455 5.5.1', 'a Close without a code is answered by 1000', () => told(frame(8), 1), [1000]);
await expectCase('6455 5.5.1', 'a Close of one byte', () => told(frame(8, 'a'), 1), [1002]);
await expectCase('6455 5.5.1', 'a Close with a reason of 123 bytes', () => told(frame(8, closeFrame(1000, 'r'.repeat(123))), 1), [1000]);
await expectCase('6455 5.5.1', 'a Close whose reason is not UTF-8 is a protocol error', () => told(frame(8, Buffer.concat([closeFrame(1000), Buffer.from([0xff])])), 1), [1002]);
await expectCase('6455 5.5.1', 'what follows a Close is not looked at', () => told([Buffer.concat([frame(8, closeFrame(1000)), frame(1, 'late')])], 1), [1000]);

const word = Buffer.from('κόσμε 😀');
for (let cut = 1; cut < word.length; cut += 3) {
  await expectCase('6455 8.1', `UTF-8 cut after ${cut} bytes by a fragment`, () => told([frame(1, word.subarray(0, cut), { fin: false }), frame(0, word.subarray(cut))], 1), [word.toString()]);
}
for (const [name, bytes] of [['an overlong form', [0xc0, 0xaf]], ['a surrogate', [0xed, 0xa0, 0x80]], ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]], ['a lone continuation byte', [0x80]], ['a character that is cut off', [0xe2, 0x82]]]) {
  await expectCase('6455 8.1', `text that is not UTF-8: ${name}`, () => told(frame(1, Buffer.from(bytes)), 1), [1007]);
}
await expectCase('6455 8.1', 'text that is not UTF-8, cut by a fragment', () => told([frame(1, Buffer.from([0xed]), { fin: false }), frame(0, Buffer.from([0xa0, 0x80]))], 1), [1007]);
await expectCase('6455 8.1', 'any bytes in a binary message', async () => (await told(frame(2, Buffer.from([0xff, 0xc0, 0x00])), 1)).map(data => data.toString('hex')), ['ffc000']);

await expectCase('6455 4.2.2', 'the server\'s preferred subprotocol', async () => (await open(plain, undefined, ['other', 'v1.echo', 'v2.echo'])).protocol, 'v2.echo');
await expectCase('6455 4.4', 'another version than 13', () => new Promise(resolve => new WebSocket(address(plain), { protocolVersion: 8 }).on('error', error => resolve(error.message))), 'Unexpected server response: 426');

// --- compression

const raw = text => deflateRawSync(Buffer.from(text), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const offer = { perMessageDeflate: true };
const long = 'compressible '.repeat(500);
async function echoes(options, text = long) {
  const socket = await open(deflating, { perMessageDeflate: options });
  const before = socket._socket.bytesRead;
  socket.send(text);
  const [echo] = await socket.heard.until(1);
  const small = socket._socket.bytesRead - before < text.length / 2;
  socket.terminate();
  return [socket.extensions !== '', echo === text, small];
}
await expectCase('7692 7.1', 'permessage-deflate', () => echoes({ threshold: 0 }), [true, true, true]);
await expectCase('7692 7.1.1', 'server_no_context_takeover', () => echoes({ threshold: 0, serverNoContextTakeover: true }), [true, true, true]);
await expectCase('7692 7.1.1', 'client_no_context_takeover', () => echoes({ threshold: 0, clientNoContextTakeover: true }), [true, true, true]);
await expectCase('7692 7.1.2', 'client_max_window_bits', () => echoes({ threshold: 0, clientMaxWindowBits: 10 }), [true, true, true]);
await expectCase('7692 7.1.2', 'server_max_window_bits=15', () => echoes({ threshold: 0, serverMaxWindowBits: 15 }), [true, true, true]);
await expectCase('7692 7.1.2', 'a smaller window than a shared compression has: declined', () => echoes({ threshold: 0, serverMaxWindowBits: 9 }), [false, true, false]);
await expectCase('7692 7.2', 'a compressed message', () => told(frame(1, raw('hello'), { rsv: 4 }), 1, deflating, offer), ['hello']);
await expectCase('7692 7.2', 'a compressed message in fragments', () => told([frame(1, raw('hello').subarray(0, 3), { rsv: 4, fin: false }), frame(0, raw('hello').subarray(3))], 1, deflating, offer), ['hello']);
await expectCase('7692 7.2', 'an uncompressed message where compression was negotiated', () => told(frame(1, 'plain'), 1, deflating, offer), ['plain']);
await expectCase('7692 7.2.3.6', 'an empty compressed message', () => told(frame(1, Buffer.from([0]), { rsv: 4 }), 1, deflating, offer), ['']);
await expectCase('7692 6', 'a continuation with reserved bit 1', () => told([frame(1, raw('hello').subarray(0, 3), { rsv: 4, fin: false }), frame(0, raw('hello').subarray(3), { rsv: 4 })], 1, deflating, offer), [1002]);
await expectCase('7692 6', 'a ping with reserved bit 1', () => told(frame(9, 'p', { rsv: 4 }), 1, deflating, offer), [1002]);
await expectCase('7692 7.2', 'a message that inflates beyond the limit', () => told(frame(1, raw('x'.repeat(18 << 20)), { rsv: 4 }), 1, deflating, offer), [1009]);

// --- the client, seen by a server on ws

// How a connection of our client ends, and what the server was told.
async function serveOne(behave) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, maxPayload: 64 << 20 });
  await once(server, 'listening');
  const child = spawn(process.env.TOOLKIT_PEER, ['connect', `ws://127.0.0.1:${server.address().port}/`]);
  let said = '';
  child.stdout.on('data', text => (said += text));
  const gone = once(child, 'close');
  const [socket] = await once(server, 'connection');
  socket.on('error', () => {});
  const heard = new Heard(socket);
  await behave(socket, heard);
  const code = await heard.end();
  await gone;
  server.close();
  return [...heard.events, code, said.trim()];
}
const write = (...frames) => socket => frames.forEach(bytes => socket._socket.write(bytes));
const bare = { mask: false };
const thenClose = (count, ...frames) => async (socket, heard) => {
  write(...frames)(socket);
  await heard.until(count);
  socket.close(1000);
};
for (const size of [0, 125, 126, 65535, 65536, 16 << 20]) {
  for (const binary of [false, true]) {
    const data = binary ? randomBytes(size) : 'x'.repeat(size);
    await expectCase('client 5.2', `a ${binary ? 'binary' : 'text'} message of ${size} bytes`, async () => {
      const [echo, ...rest] = await serveOne(async (socket, heard) => {
        socket.send(data);
        await heard.until(1);
        socket.close(1000);
      });
      return [Buffer.compare(Buffer.from(echo), Buffer.from(data)), ...rest];
    }, [0, 1000, 'end 1000']);
  }
}
await expectCase('client 5.4', 'fragments with a ping between', () => serveOne(thenClose(2, frame(1, 'one ', { ...bare, fin: false }), frame(9, 'now', bare), frame(0, 'two', bare))), ['pong now', 'one two', 1000, 'end 1000']);
await expectCase('client 5.1', 'a masked frame of a server', () => serveOne(write(frame(1, 'a'))), [1002, 'end 1002']);
await expectCase('client 5.2', 'a reserved bit', () => serveOne(write(frame(1, 'a', { ...bare, rsv: 4 }))), [1002, 'end 1002']);
await expectCase('client 5.2', 'a reserved opcode', () => serveOne(write(frame(3, 'a', bare))), [1002, 'end 1002']);
await expectCase('client 5.4', 'a continuation of nothing', () => serveOne(write(frame(0, 'a', bare))), [1002, 'end 1002']);
await expectCase('client 5.5', 'a ping in fragments', () => serveOne(write(frame(9, 'a', { ...bare, fin: false }))), [1002, 'end 1002']);
await expectCase('client 8.1', 'text that is not UTF-8', () => serveOne(write(frame(1, Buffer.from([0xff]), bare))), [1007, 'end 1007']);
await expectCase('client 8.1', 'UTF-8 cut by a fragment', () => serveOne(thenClose(1, frame(1, word.subarray(0, 4), { ...bare, fin: false }), frame(0, word.subarray(4), bare))), [word.toString(), 1000, 'end 1000']);
await expectCase('client 5.2', 'a message beyond the limit', () => serveOne(write(frame(2, 'x', { ...bare, length: 18 << 20 }))), [1009, 'end 1009']);
for (const code of [1000, 1001, 1008, 1011, 3000, 4999]) {
  await expectCase('client 7.4', `close code ${code}`, () => serveOne(socket => socket.close(code)), [code, `end ${code}`]);
}

// --- the table

const checkPage = join(dirname(fileURLToPath(import.meta.url)), 'conformance_page.py');
const column = [checkPage, 'Node ws', process.env.CONFORMANCE_DOCS];
const page = spawnSync('/usr/bin/python3', column, { input: JSON.stringify(rows) });
process.stdout.write(Buffer.concat([page.stdout, page.stderr]));
await expectCase('docs', 'docs/conformance.md has these cases (UPDATE_DOCS=1 writes it)', async () => page.status, 0);
console.log(`${rows.length - failed} of ${rows.length} cases hold`);
process.exitCode = failed ? 1 : 0;
if (!failed) finish();
process.exit(1);
