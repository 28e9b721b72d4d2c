"""The messages of TensorFlow Serving's protocol that are answered here, and generated code beside them."""
