// Send one message with nodemailer: the JSON on standard input has either its octets or its fields.
"use strict";
const nodemailer = require("nodemailer");

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => {
  const order = JSON.parse(Buffer.concat(chunks).toString());
  const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: order.port,
    name: "forwarder.example",
    secure: order.implicit,
    requireTLS: order.tls && !order.implicit,
    ignoreTLS: !order.tls,
    tls: order.tls ? { ca: order.ca, cert: order.certificate, key: order.certificate } : {},
    auth: order.username ? { user: order.username, pass: order.password } : undefined,
  });
  const content = order.raw
    ? { raw: Buffer.from(order.raw, "base64") }
    : { from: order.from, to: order.to, subject: order.subject, headers: order.headers, text: order.text };
  transport
    .sendMail({ ...content, envelope: { from: order.from, to: [order.to] } })
    .then(() => transport.close())
    .catch((error) => {
      process.stderr.write(`${error}\n`);
      process.exit(1);
    });
});
