// A receiver of itsjustintv in JavaScript, with nothing but Node.js (18 or newer).
//
//     TARGET_WEBHOOK_SECRET=... node receiver.mjs
//
// listens on 127.0.0.1, port 8091 or PORT. Put a proxy with HTTPS in front.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = process.env.TARGET_WEBHOOK_SECRET;
if (!secret) throw new Error("TARGET_WEBHOOK_SECRET is not set");
const largest = 4 * 1024 * 1024; // a payload with a picture in it
const tolerance = 300; // seconds by which clocks may differ
const known = new Set(); // ids of the last deliveries; keep them in a database if a repetition after a restart matters

function same(one, other) {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

// Whether a delivery is signed with our secret. Call it before you look at the body, with the bytes as they came.
function genuine(headers, body) {
  if (secret.startsWith("whsec_")) { // target_webhook_signature = "standard" or "both"
    const sentAt = headers["webhook-timestamp"] ?? "";
    if (!/^[0-9]+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > tolerance) return false;
    const mac = createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"));
    mac.update(`${headers["webhook-id"] ?? ""}.${sentAt}.`).update(body);
    const expected = `v1,${mac.digest("base64")}`;
    return (headers["webhook-signature"] ?? "").split(" ").some((given) => same(given, expected));
  }
  const expected = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  return same(headers["x-hub-signature-256"] ?? "", expected);
}

// Whether this was here before: what was not answered in time is sent again, under the same id.
function seen(id) {
  if (known.has(id)) return true;
  known.add(id);
  if (known.size > 10000) known.delete(known.values().next().value);
  return false;
}

function receive(headers, body) {
  if (!genuine(headers, body)) return 401;
  let news;
  try {
    news = JSON.parse(body.toString("utf8"));
  } catch {
    return 400;
  }
  if (news.event === "stream.online" && !seen(news.id)) {
    console.log(`${news.streamer_name} is live: ${news.url}`);
  }
  return 204;
}

createServer((request, response) => {
  const answer = (status) => response.writeHead(status).end();
  if (request.method !== "POST") return answer(405);
  const parts = [];
  let length = 0;
  request.on("data", (part) => {
    length += part.length;
    if (length <= largest) parts.push(part);
  });
  request.on("end", () => answer(length > largest ? 413 : receive(request.headers, Buffer.concat(parts))));
}).listen(Number(process.env.PORT ?? 8091), "127.0.0.1");
