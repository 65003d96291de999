// Reads messages as Node's mailparser does: base64 of one message a line in, the readings as JSON out.
"use strict";

const readline = require("readline");
const { simpleParser } = require("mailparser");

const lines = readline.createInterface({ input: process.stdin });

async function main() {
    for await (const line of lines) {
        const mail = await simpleParser(Buffer.from(line, "base64"));
        process.stdout.write(`${JSON.stringify({ mailparser: mail.subject ?? null })}\n`);
    }
}

main();
