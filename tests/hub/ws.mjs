// Drives npm's `ws`: commands come as lines of JSON, what happened goes back the same way.
//   node ws.mjs FOLDER-OF-ws URL [compressed]
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, url, compressed] = process.argv.slice(2);
const WebSocket = createRequire(`${folder}/x.js`)("ws");
const tell = (said) => process.stdout.write(`${JSON.stringify(said)}\n`);
const socket = new WebSocket(url, { perMessageDeflate: compressed === "compressed" });
socket.on("open", () => tell({ open: socket.extensions }));
socket.on("message", (data, binary) => tell({ text: data.toString(), binary }));
socket.on("pong", (data) => tell({ pong: data.toString() }));
socket.on("close", (code, reason) => {
  tell({ closed: code, reason: reason.toString() });
  process.exit(0);
});
socket.on("error", (error) => tell({ error: error.message }));
createInterface({ input: process.stdin }).on("line", (line) => {
  const { send, ping, close } = JSON.parse(line);
  if (send) {
    send.forEach((part, at) => socket.send(part, { fin: at === send.length - 1 }));
  } else if (ping !== undefined) {
    socket.ping(ping);
  } else {
    socket.close(close);
  }
});
