// Accept messages with npm's smtp-server: settings as JSON in the one argument, a line of JSON for each message.
"use strict";
const { SMTPServer } = require("smtp-server");

const settings = JSON.parse(process.argv[2]);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const server = new SMTPServer({
  ...(settings.tls || {}),
  secure: false,
  disableReverseLookup: true,
  hideSTARTTLS: !settings.tls,
  disabledCommands: settings.password ? [] : ["AUTH"],
  authOptional: !settings.password,
  onAuth(auth, session, done) {
    const right = auth.username === settings.username && auth.password === settings.password;
    done(right ? null : new Error("no"), { user: auth.username });
  },
  onMailFrom(address, session, done) {
    done(settings.tls && !session.secure ? new Error("STARTTLS first") : undefined);
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", () => {
      const cipher = session.tlsOptions ? session.tlsOptions.version : null;
      print({ raw: Buffer.concat(chunks).toString("base64"), cipher, user: session.user || null });
      done();
    });
  },
});
server.listen(0, "127.0.0.1", () => print({ port: server.server.address().port }));
