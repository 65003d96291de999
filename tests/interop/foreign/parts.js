// Lists the parts of messages as Node's mailparser does: base64 of one message a line in, the parts as JSON out.
"use strict";

const readline = require("readline");
const { simpleParser } = require("mailparser");

const lines = readline.createInterface({ input: process.stdin });

async function main() {
    for await (const line of lines) {
        const mail = await simpleParser(Buffer.from(line, "base64"), { skipImageLinks: true, keepCidLinks: true });
        // It turns texts into strings with line ends of its own, so only the other parts have their octets.
        const parts = mail.attachments.map((part) => [part.contentType, part.content.toString("base64")]);
        process.stdout.write(`${JSON.stringify({ mailparser: parts })}\n`);
    }
}

main();
