// Node with @grpc/grpc-js; the messages are read from the protos, which `-I.` names as Python's import does.
// requirements: @grpc/grpc-js@^1.14.0 @grpc/proto-loader@^0.8.0

import assert from "node:assert/strict";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [address] = process.argv.slice(2);
const files = ["protos/signet/v1/prediction.proto", "protos/signet/v1/models.proto", "protos/inference/service.proto"];
const definition = await protoLoader.load(files, { includeDirs: [process.cwd()], keepCase: true, longs: Number, enums: String });
const { signet, inference } = grpc.loadPackageDefinition(definition);
const credentials = grpc.credentials.createInsecure();

const clients = [];
const connect = (Service) => {
  const client = new Service(address, credentials);
  clients.push(client);
  return client;
};
const call = (client, method, request) =>
  new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + 10_000);
    client[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
const check = (what, found, expected) => {
  assert.deepEqual(found, expected, what);
  console.log(`  ${what}`);
};

const prediction = connect(signet.v1.Prediction);
const models = connect(signet.v1.Models);
const features = (a) => [{ values: { a, b: 0, c: 0 } }];

const answer = await call(prediction, "Predict", { model: "sums", features: features(1) });
check("Predict: features", answer.predictions[0].label, "positive");

const x = { name: "x", datatype: "FP32", shape: [2, 3], float_values: [1, 3, 2, 9, 0, 0] };
const letters = await call(prediction, "Predict", { model: "letters", tensors: [x], top_k: 2 });
check("Predict: a tensor", letters.predictions.map((row) => row.label), ["b", "a"]);
check("Predict: top_k", letters.predictions[0].top.map((one) => one.label), ["b", "c"]);

await assert.rejects(call(prediction, "Predict", { model: "nope", features: features(1) }), {
  code: grpc.status.NOT_FOUND,
});
console.log("  Predict: an unknown model is NOT_FOUND");

const stream = prediction.PredictStream();
for (const [id, a] of [["first", 1], ["second", -1]]) {
  stream.write({ request: { model: "sums", id, features: features(a) } });
}
stream.end();
const streamed = [];
for await (const one of stream) {
  streamed.push([one.id, one.response.predictions[0].label]);
}
check("PredictStream", streamed, [["first", "positive"], ["second", "negative"]]);

const listed = await call(models, "ListModels", {});
check("ListModels", listed.models.find((one) => one.model === "letters").state, "MODEL_STATE_READY");

const infer = await call(connect(inference.GRPCInferenceService), "ModelInfer", {
  model_name: "letters",
  inputs: [{ name: "x", datatype: "FP32", shape: [1, 3], contents: { fp32_contents: [0, 0, 1] } }],
});
const scores = infer.outputs[0].contents.fp32_contents;
check("ModelInfer", scores.indexOf(Math.max(...scores)), 2);

clients.forEach((client) => client.close());
