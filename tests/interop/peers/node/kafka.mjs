// kafkajs behind the peers' common command line (see ../README.md).
import { createInterface } from "node:readline";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";

const [command, bootstrap, topic, argument, group] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
const raw = (text) => (text === null ? null : Buffer.from(text, "base64"));
const text = (bytes) => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString("base64"));

async function produce(codec) {
  const messages = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const record = JSON.parse(line);
    const headers = {};
    for (const [name, value] of record.headers) (headers[name] ??= []).push(raw(value));
    messages.push({ key: raw(record.key), value: raw(record.value), headers, partition: 0 });
  }
  const producer = kafka.producer({ allowAutoTopicCreation: true });
  await producer.connect();
  const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }[codec];
  await producer.send({ topic, messages, acks: -1, compression });
  await producer.disconnect();
}

async function consume(count, groupId) {
  const consumer = kafka.consumer({ groupId: groupId ?? `peer-${process.pid}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let seen = 0;
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${seen} of ${count} records`)), 60_000).unref();
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        const headers = Object.entries(message.headers ?? {}).flatMap(([name, value]) =>
          (Array.isArray(value) ? value : [value]).map((one) => [name, text(one)]));
        if (seen < count) console.log(JSON.stringify({ key: text(message.key), value: text(message.value), headers }));
        if (++seen === count) {
          if (groupId) {
            await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
          }
          resolve();
        }
      },
    }).catch(reject);
  });
  await consumer.disconnect();
}

if (command === "produce") await produce(argument);
else await consume(Number(argument), command === "group" ? group : undefined);
