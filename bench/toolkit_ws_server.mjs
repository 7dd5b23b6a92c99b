// Node's `ws` with channels, beside bench/toolkit_server.cpp: the same arguments, commands, answers and messages.
// Run it with --expose-gc.
import { createRequire } from "node:module";

// `ws` is where the runner installed it, not beside this file.
const { WebSocketServer } = createRequire(`${process.env.FRESNEL_BENCH_MODULES}/`)("ws");

const channels = new Map();
for (let i = 0; i < Number(process.argv[3]); ++i) channels.set(`c${i}`, new Set());

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 });
let accepted = 0;
let number = 0;
let delivery;

server.on("connection", (socket) => {
  ++accepted;
  const joined = new Set();
  socket.on("message", (data) => {
    const { type, id, channel } = JSON.parse(data);
    const members = channels.get(channel);
    if (type !== "subscribe" || !members) {
      return socket.send(JSON.stringify({ type: "error", id, code: "bad_request" }));
    }
    members.add(socket);
    joined.add(members);
    socket.send(JSON.stringify({ type: "subscribed", id, channel, recovered: false }));
  });
  socket.on("close", () => joined.forEach((members) => members.delete(socket)));
});
server.on("listening", () => console.log(server.address().port));

// As bytes, so that the text is not encoded again for each receiver.
function deliver(sockets, text) {
  const bytes = Buffer.from(text);
  for (const socket of sockets) {
    if (socket.readyState !== socket.OPEN) {
      ++delivery.skipped;
      continue;
    }
    socket.send(bytes, { binary: false });
    ++delivery.messages;
  }
}

const yielded = () => new Promise(setImmediate);

async function broadcast(burst, padding) {
  for (let i = 0; i < burst; ++i) deliver(server.clients, JSON.stringify({ n: ++number, data: padding }));
}

async function publish(burst, padding) {
  let begun = 0;
  for (const [channel, members] of channels) {
    deliver(members, JSON.stringify({ type: "message", channel, data: { n: ++number, data: padding } }));
    if (++begun % burst === 0) await yielded();
  }
}

async function drain() {
  await yielded();
  const lags = (socket) => socket.bufferedAmount !== 0;
  while ([...server.clients].some(lags)) await new Promise((resolve) => setTimeout(resolve, 1));
}

function account() {
  globalThis.gc();
  globalThis.gc();
  let subscriptions = 0;
  for (const members of channels.values()) subscriptions += members.size;
  return { connections: server.clients.size, subscriptions, accepted, rss: process.memoryUsage().rss };
}

async function answer(line) {
  const [command, ...rest] = line.split(" ");
  const [turns, burst, size] = rest.map(Number);
  if (command === "account") return account();
  const turn = { broadcast, publish }[command];
  if (!turn) return { fault: "unknown command" };
  const begin = performance.now();
  const cpu = process.cpuUsage();
  delivery = { messages: 0, skipped: 0, slow: 0 };
  const padding = "x".repeat(size);
  for (let i = 0; i < turns; ++i) {
    await turn(burst, padding);
    await drain();
  }
  const { user, system } = process.cpuUsage(cpu);
  return { ...delivery, seconds: (performance.now() - begin) / 1000, cpu_us: user + system };
}

// Until the end of its input, that is, of who commands it.
let received = "";
for await (const piece of process.stdin) {
  received += piece;
  for (let end; (end = received.indexOf("\n")) >= 0; received = received.slice(end + 1)) {
    console.log(JSON.stringify(await answer(received.slice(0, end))));
  }
}
process.exit(0);
