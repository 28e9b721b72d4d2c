#!/usr/bin/env bash
# buf curl, which learns the messages by the server's reflection.
# requirements: buf-bin>=1.70,<2
set -euo pipefail
address=$1

ask() { # METHOD JSON
  buf curl --protocol grpc --http2-prior-knowledge -d "$2" "http://$address/$1"
}

check() { # WHAT ANSWER PATTERN
  if ! tr -d ' \n' <<<"$2" | grep -q -e "$3"; then
    printf '%s: %s came, %s was expected\n' "$1" "$2" "$3"
    exit 1
  fi
  printf '  %s\n' "$1"
}

answer=$(ask signet.v1.Prediction/Predict '{"model": "sums", "features": [{"values": {"a": 1, "b": 0, "c": 0}}]}')
check "Predict" "$answer" '"label":"positive"'

answer=$(ask signet.v1.Models/GetModel '{"model": "shades"}')
check "GetModel" "$answer" '"classIndices":{"bright":2'

answer=$(ask inference.GRPCInferenceService/ModelReady '{"name": "letters"}')
check "ModelReady" "$answer" '"ready":true'

answer=$(ask tensorflow.serving.ModelService/GetModelStatus '{"model_spec": {"name": "letters"}}')
check "GetModelStatus" "$answer" '"state":"AVAILABLE"'

answer=$(ask signet.v1.Prediction/Predict '{"model": "nope", "features": [{"values": {"a": 1}}]}' 2>&1 || true)
check "an unknown model is NOT_FOUND" "$answer" '"code":"not_found"'
