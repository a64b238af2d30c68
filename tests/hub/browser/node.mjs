// Runs what a test says, line by line: {"program"} on standard input, {"value"} or {"error"} out.
import { createInterface } from "node:readline";

globalThis.lib = await import(process.argv[2]);
const Program = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: (await new Program(JSON.parse(line).program)()) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
