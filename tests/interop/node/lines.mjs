// JSON lines with the test: commands come in on stdin, events go out on stdout, all else goes to stderr.

import { createInterface } from "node:readline";

for (const name of ["log", "info", "debug", "warn"]) {
  console[name] = (...args) => console.error(...args);
}

/** Tells the test that something happened. */
export function emit(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

/** Runs the test's commands one after another; ends the process when the test is done. */
export async function serve(commands) {
  emit("started");
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...fields } = JSON.parse(line);
    try {
      await commands[name](fields);
      emit("done", { what: name });
    } catch (error) {
      console.error(error);
      emit("failed", { what: name, reason: String(error?.condition ?? error?.message ?? error) });
    }
  }
  process.exit(0);
}
