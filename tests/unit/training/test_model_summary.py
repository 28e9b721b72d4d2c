import keras

from training.model_summary import layer_lines, parameter_counts


def _net() -> keras.Model:
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    hidden = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Dropout(0.25)(keras.layers.Flatten()(hidden))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))


def test_each_layer_is_told_with_its_settings_and_its_shape_without_rows():
    assert [(line.kind, line.detail, line.shape, line.parameters) for line in layer_lines(_net())] == [
        ("InputLayer", "", "8 \N{MULTIPLICATION SIGN} 8 \N{MULTIPLICATION SIGN} 1", 0),
        ("Rescaling", "by 1/255", "8 \N{MULTIPLICATION SIGN} 8 \N{MULTIPLICATION SIGN} 1", 0),
        (
            "Conv2D",
            "4 filters, 3 \N{MULTIPLICATION SIGN} 3, stride 2 \N{MULTIPLICATION SIGN} 2, same, relu",
            "4 \N{MULTIPLICATION SIGN} 4 \N{MULTIPLICATION SIGN} 4",
            40,
        ),
        ("BatchNormalization", "", "4 \N{MULTIPLICATION SIGN} 4 \N{MULTIPLICATION SIGN} 4", 16),
        ("Flatten", "", "64", 0),
        ("Dropout", "0.25", "64", 0),
        ("Dense", "2 units, softmax", "2", 130),
    ]


def test_layers_of_a_model_inside_a_model_stand_in_its_place():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="inside")])
    outer = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(1, name="last")])
    assert [line.name for line in layer_lines(outer)] == ["inside", "last"]


def test_counts_leave_out_the_seeds_of_dropout():
    assert parameter_counts(_net()) == {"total": 186, "trainable": 178, "non_trainable": 8}
