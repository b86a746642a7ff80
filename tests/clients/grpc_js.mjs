// Asks a gateway with @grpc/grpc-js. Arguments: a descriptor set, an address, a scenario, its options as JSON.
// Prints one JSON document: what a caller of grpc-js sees.
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const [schema, address, scenario, written] = process.argv.slice(2);
const options = JSON.parse(written);
const loaded = loadFileDescriptorSetFromBuffer(readFileSync(schema), { longs: Number, keepCase: true, enums: String });
const { EntitlementService } = grpc.loadPackageDefinition(loaded).gateway.v1;
const credentials = options.authority
  ? grpc.credentials.createSsl(readFileSync(options.authority))
  : grpc.credentials.createInsecure();
const client = new EntitlementService(address, credentials, options.channel ?? {});
const TOKEN = { customer: "acme", feature: "input_tokens" };

function metadataOf(bytes) {
  const metadata = new grpc.Metadata();
  for (let left = bytes; left > 0; left -= 1000) metadata.add("x-much", "v".repeat(Math.min(left, 1000)));
  return metadata;
}

function check(request, { timeout_ms, metadata_bytes = 0 } = {}) {
  const limits = timeout_ms === undefined ? {} : { deadline: Date.now() + timeout_ms };
  let call;
  const answered = new Promise((resolve) => {
    call = client.CheckEntitlement(request, metadataOf(metadata_bytes), limits, (error, decision) => {
      resolve(error ? { code: error.code, words: error.details, details: detailsOf(error) } : { code: 0, ...decision });
    });
  });
  return { answered, cancel: () => call.cancel() };
}

const detailsOf = (error) =>
  error.metadata.get("grpc-status-details-bin").map((details) => details.toString("base64"));

const scenarios = {
  async at_once() {
    const calls = Array.from({ length: options.calls }, () => check(TOKEN, options));
    return Promise.all(calls.map((call) => call.answered));
  },
  async one_after_another() {
    const answers = [];
    for (let call = 0; call < options.calls; call += 1) answers.push(await check(TOKEN, options).answered);
    return answers;
  },
  async one_of_each() {
    const answers = [];
    for (const request of options.requests) answers.push(await check(request, options).answered);
    return answers;
  },
  async each_metadata() {
    const answers = [];
    for (const metadata_bytes of options.sizes) answers.push(await check(TOKEN, { metadata_bytes }).answered);
    return answers;
  },
  async cancelled() {
    const calls = Array.from({ length: options.calls }, () => check(TOKEN, options));
    calls.forEach((call, number) => number % 2 && setTimeout(call.cancel, number / 100));
    return Promise.all(calls.map((call) => call.answered));
  },
  async after_a_pause() {
    const answers = [];
    for (let call = 0; call < options.calls; call += 1) {
      answers.push(await check(TOKEN, options).answered);
      await new Promise((resolve) => setTimeout(resolve, options.pause_ms));
    }
    return answers;
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
client.close();
