"""The numbers by which TensorFlow Serving's clients write and read; with others, the same bytes say other things."""

from typing import Any

import pytest

from protos.tensorflow_serving import (
    example_pb2,
    model_pb2,
    model_service_pb2,
    prediction_service_pb2,
    session_service_pb2,
    signature_pb2,
    tensor_pb2,
)

FIELDS: dict[Any, dict[str, int]] = {
    tensor_pb2.TensorProto: {
        "dtype": 1,
        "tensor_shape": 2,
        "version_number": 3,
        "tensor_content": 4,
        "float_val": 5,
        "double_val": 6,
        "int_val": 7,
        "string_val": 8,
        "int64_val": 10,
        "bool_val": 11,
        "half_val": 13,
        "uint32_val": 16,
        "uint64_val": 17,
    },
    tensor_pb2.TensorShapeProto: {"dim": 2, "unknown_rank": 3},
    tensor_pb2.TensorShapeProto.Dim: {"size": 1, "name": 2},
    signature_pb2.SignatureDef: {"inputs": 1, "outputs": 2, "method_name": 3},
    signature_pb2.TensorInfo: {"name": 1, "dtype": 2, "tensor_shape": 3},
    example_pb2.Example: {"features": 1},
    example_pb2.Features: {"feature": 1},
    example_pb2.Feature: {"bytes_list": 1, "float_list": 2, "int64_list": 3},
    model_pb2.ModelSpec: {"name": 1, "version": 2, "signature_name": 3, "version_label": 4},
    prediction_service_pb2.PredictRequest: {"model_spec": 1, "inputs": 2, "output_filter": 3},
    prediction_service_pb2.PredictResponse: {"outputs": 1, "model_spec": 2},
    prediction_service_pb2.Input: {"example_list": 1, "example_list_with_context": 2},
    prediction_service_pb2.ExampleListWithContext: {"examples": 1, "context": 2},
    prediction_service_pb2.ClassificationRequest: {"model_spec": 1, "input": 2},
    prediction_service_pb2.ClassificationResponse: {"result": 1, "model_spec": 2},
    prediction_service_pb2.ClassificationResult: {"classifications": 1},
    prediction_service_pb2.Classifications: {"classes": 1},
    prediction_service_pb2.Class: {"label": 1, "score": 2},
    prediction_service_pb2.GetModelMetadataRequest: {"model_spec": 1, "metadata_field": 2},
    prediction_service_pb2.GetModelMetadataResponse: {"model_spec": 1, "metadata": 2},
    prediction_service_pb2.SignatureDefMap: {"signature_def": 1},
    model_service_pb2.GetModelStatusRequest: {"model_spec": 1},
    model_service_pb2.GetModelStatusResponse: {"model_version_status": 1},
    model_service_pb2.ModelVersionStatus: {"version": 1, "state": 2, "status": 3},
    model_service_pb2.StatusProto: {"error_code": 1, "error_message": 2},
}


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.DESCRIPTOR.name)
def test_fields_have_the_numbers_of_the_protocol(message):
    assert {field.name: field.number for field in message.DESCRIPTOR.fields} == FIELDS[message]


def test_datatypes_have_the_numbers_of_the_protocol():
    assert dict(tensor_pb2.DataType.items()) == {
        "DT_INVALID": 0,
        "DT_FLOAT": 1,
        "DT_DOUBLE": 2,
        "DT_INT32": 3,
        "DT_UINT8": 4,
        "DT_INT16": 5,
        "DT_INT8": 6,
        "DT_STRING": 7,
        "DT_INT64": 9,
        "DT_BOOL": 10,
        "DT_BFLOAT16": 14,
        "DT_UINT16": 17,
        "DT_HALF": 19,
        "DT_UINT32": 22,
        "DT_UINT64": 23,
    }


def test_states_have_the_numbers_of_the_protocol():
    assert dict(model_service_pb2.ModelVersionStatus.State.items()) == {
        "UNKNOWN": 0,
        "START": 10,
        "LOADING": 20,
        "AVAILABLE": 30,
        "UNLOADING": 40,
        "END": 50,
    }


def test_services_and_methods_have_the_names_that_clients_call():
    modules = (prediction_service_pb2, model_service_pb2, session_service_pb2)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    assert {service.full_name: [method.name for method in service.methods] for service in services} == {
        "tensorflow.serving.PredictionService": [
            "Classify",
            "Regress",
            "Predict",
            "MultiInference",
            "GetModelMetadata",
        ],
        "tensorflow.serving.ModelService": ["GetModelStatus", "HandleReloadConfigRequest"],
        "tensorflow.serving.SessionService": ["SessionRun"],
    }
