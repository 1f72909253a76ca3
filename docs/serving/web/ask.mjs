// Ask a student in headless Chromium: node ask.mjs student.onnx rows.json
//
// rows.json holds {"input": name of the graph's input, "rows": [[numbers], ...]}. Serves
// the page beside this file on the loopback, opens it, and prints what it answers as one
// line of JSON. `npm install` in this folder comes first; Chromium is taken from the
// variable CHROMIUM, or by its name.

import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";

const SECONDS = 180;
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};
const [model, rows] = process.argv.slice(2);
const given = { "/student.onnx": model, "/rows.json": rows };
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
let browser;

function stop(status) {
  browser?.kill("SIGKILL");
  server.close();
  server.closeAllConnections();
  browser?.once("exit", () => {
    try {
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    } catch {
      // Helpers of the browser outlive it for a moment, and write.
    }
    process.exit(status);
  });
}

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  if (request.method === "POST") {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      response.end();
      console.log(body);
      stop("error" in JSON.parse(body) ? 1 : 0);
    });
    return;
  }
  const file = given[path] ?? join(import.meta.dirname, path === "/" ? "index.html" : path);
  if (!existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
  });
  createReadStream(file).pipe(response);
});

server.listen(0, "127.0.0.1", () => {
  browser = spawn(process.env.CHROMIUM ?? "chromium", [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/`,
  ], { stdio: "ignore" });
  browser.on("error", (error) => {
    console.error(String(error));
    process.exit(1);
  });
  setTimeout(() => {
    console.error(`The page has not answered within ${SECONDS} seconds.`);
    stop(1);
  }, SECONDS * 1000).unref();
});
