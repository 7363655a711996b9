// MQTT.js:  pub HOST PORT VERSION TOPIC QOS < lines     sub HOST PORT VERSION FILTER QOS N > {"topic", "payload", …} lines
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const [command, host, port, version, topic, qos, count] = process.argv.slice(2);
const client = await mqtt.connectAsync({ host, port: Number(port), protocolVersion: Number(version) });

if (command === "pub") {
  const sent = [];
  for await (const line of createInterface({ input: process.stdin })) {
    sent.push(client.publishAsync(topic, Buffer.from(line, "base64"), { qos: Number(qos) }));
  }
  await Promise.all(sent);
} else {
  let seen = 0;
  const all = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${seen} of ${count} messages`)), 60_000).unref();
    client.on("message", (name, payload, packet) => {
      console.log(JSON.stringify({ topic: name, payload: payload.toString("base64"), qos: packet.qos }));
      if (++seen === Number(count)) resolve();
    });
  });
  await client.subscribeAsync(topic, { qos: Number(qos) });
  console.log("subscribed");
  await all;
}
await client.endAsync();
