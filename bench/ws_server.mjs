// Node's `ws`, one send() a message. Arguments and output are those of publication.hpp.
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// `ws` is where the runner installed it, not beside this file.
const { WebSocketServer } = createRequire(`${process.env.FRESNEL_BENCH_MODULES}/`)("ws");

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "100" },
    size: { type: "string", default: "3584" },
    burst: { type: "string", default: "1" },
    "warm-up": { type: "string", default: "0.3" },
    seconds: { type: "string", default: "1" },
  },
});
const [clients, size, burst, warmUp, seconds] = ["clients", "size", "burst", "warm-up", "seconds"].map((name) => Number(values[name]));

const prefix = '{"clusterId":"bench","path":"/api/v1/pods","query":"watch=1&resourceVersion=4711","userId":"f075623f9be8"';

function message(number) {
  let text = prefix + ',"type":"DATA","data":"{\\"type\\":\\"MODIFIED\\",\\"object\\":{\\"kind\\":\\"Pod\\",\\"metadata\\":{\\"bench.fresnel.dev/written-at\\":\\"0000000000000000000\\",';
  for (let i = 0; text.length < size - 2; ++i) text += `\\"app.kubernetes.io/part-${i * 31 + number}\\":\\"web-6f9c8d7b5\\",`;
  text = text.slice(0, size - 2);
  return (text.endsWith("\\") ? text.slice(0, -1) + " " : text) + '"}';
}

// As bytes, so that the text is not encoded again for each client.
const messages = Array.from({ length: burst }, (_, number) => Buffer.from(message(number)));
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 });
const sockets = [];
let turns = 0;
let begin, measured;

function report(now) {
  const { user, system } = process.cpuUsage(measured.cpu);
  const count = (turns - measured.turns) * burst * clients;
  console.log(JSON.stringify({
    messages: count, turns: turns - measured.turns, seconds: now - begin, user_us: user / count, system_us: system / count,
  }));
  process.exit(0);
}

function turn() {
  if (sockets.some((socket) => socket.bufferedAmount !== 0)) return setTimeout(turn, 1);
  const now = performance.now() / 1000;
  begin ??= now;
  if (!measured && now - begin >= warmUp) {
    measured = { turns, cpu: process.cpuUsage() };
    begin = now;
  } else if (measured && now - begin >= seconds) {
    return report(now);
  }
  ++turns;
  for (const socket of sockets) {
    for (const bytes of messages) socket.send(bytes, { binary: false });
  }
  setImmediate(turn);
}

server.on("connection", (socket) => {
  sockets.push(socket);
  if (sockets.length === clients) setImmediate(turn);
});
server.on("listening", () => console.log(server.address().port));
